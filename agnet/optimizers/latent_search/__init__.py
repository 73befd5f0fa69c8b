"""Latent search: follow the surrogate through the generator, and retrain the generator on what is found."""
