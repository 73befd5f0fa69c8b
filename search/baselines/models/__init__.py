"""Surrogates of the baselines: an ensemble of networks, and boosted trees."""
