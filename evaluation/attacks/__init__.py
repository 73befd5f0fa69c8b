"""Attacks: settings and radii as objects, and each attack as a pure function.

The functions take ``(model, inputs, labels, *, eps, ...)`` and return adversarial inputs. ``model`` maps images
``[batch, channels, height, width]`` with pixels in [0, 1] to logits ``[batch, classes]``; ``eps`` is a number or one
value per sample, in pixels (``8 / 255``). To attack many images at many radii, give the objects to
:func:`evaluation.evaluate`, which keeps every slot of the batch busy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
