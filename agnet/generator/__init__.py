"""The graph generator: a latent vector in, a cell out."""

from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import Decoded, GraphGenerator
from agnet.generator.sampling import generate, sample_graphs

__all__ = ["Decoded", "GraphGenerator", "generate", "reconstruction_loss", "sample_graphs"]
