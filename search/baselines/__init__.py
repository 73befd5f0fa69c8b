"""Optimizers to compare with; each is one file here and one yaml in ``conf/optimizer``."""
