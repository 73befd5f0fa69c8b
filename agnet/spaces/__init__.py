"""Cell spaces: their architectures, how these are written and drawn, and which of them are equal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
