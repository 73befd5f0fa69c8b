"""The graph generator: it decodes a latent vector into a cell."""

from agnet.generator.joint import JointGenerator
from agnet.generator.loss import log_likelihood, reconstruction_loss
from agnet.generator.model import AbstractGenerator, Decoded, GraphGenerator
from agnet.generator.sampling import decode, generate, likeliest_graphs, sample_graphs

__all__ = [
    "AbstractGenerator",
    "Decoded",
    "GraphGenerator",
    "JointGenerator",
    "decode",
    "generate",
    "likeliest_graphs",
    "log_likelihood",
    "reconstruction_loss",
    "sample_graphs",
]
