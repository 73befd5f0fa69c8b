"""The graph generator: it decodes a latent vector into a cell."""
