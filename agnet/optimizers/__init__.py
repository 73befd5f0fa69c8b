"""Optimizers: they propose architectures and learn from the observed outcomes."""
