"""Latent search: follow the surrogate through the generator, and retrain the generator on what is found."""

from agnet.optimizers.latent_search.optimizer import LatentSearch, Predictions

__all__ = ["LatentSearch", "Predictions"]
