"""Image sets with fixed splits: networks are trained on ``train``, selected by ``valid`` and judged on ``test``."""
