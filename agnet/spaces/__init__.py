"""Cell spaces: their architectures, how these are written and drawn, and which of them are equal."""

from agnet.spaces.base import AbstractSpace
from agnet.spaces.darts import DARTS
from agnet.spaces.edge_cells import EdgeCells
from agnet.spaces.nasbench101.space import NASBench101
from agnet.spaces.nasbench201 import NASBench201
from agnet.spaces.nasbench_nlp.space import NASBenchNLP
from agnet.spaces.subspace import Subspace
from agnet.spaces.transnas_micro import TransNASMicro

__all__ = [
    "DARTS",
    "AbstractSpace",
    "EdgeCells",
    "NASBench101",
    "NASBench201",
    "NASBenchNLP",
    "Subspace",
    "TransNASMicro",
]
