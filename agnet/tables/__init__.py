"""Table files: their content, how to read them, and objectives made of their columns."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
