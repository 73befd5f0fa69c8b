"""Optimizers for comparison; each has one file here and one yaml in ``conf/optimizer``."""
