"""Optimizers that ask for architectures and are told what these achieved."""
