"""Generative search for accurate, robust and fast neural architectures: the method, as a library.

A :class:`~agnet.spaces.base.AbstractSpace` is a set of cells with one string each. A generator turns latent vectors
into cells of a space. An optimizer is asked for architectures and told their outcomes. An objective reads outcomes
from table files. Every name below is imported at its first use (PEP 562); ``__init__.pyi`` says where it is
defined.

Names that are not in ``__all__`` are parts that configurations put together: pairings, selections, executors,
schedules.
"""

# pyright: reportUnsupportedDunderAll=false
import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

__all__ = [  # noqa: RUF022  each is defined where __init__.pyi says; grouped by meaning
    # spaces
    "AbstractSpace", "EdgeCells", "NASBench101", "NASBench201", "NASBenchNLP", "DARTS", "TransNASMicro", "Graphs",
    # the generator: latent vectors to cells and back
    "GraphGenerator", "load_generator", "pretrain", "decode", "likeliest_graphs", "sample_graphs", "invert",
    # the surrogate, and what it is asked for
    "GaussianProcess", "OptimisticHypervolume", "UpperConfidenceBound", "ThompsonSampling",
    # optimizers: ask and tell
    "AbstractOptimizer", "ArchiveOptimizer", "LatentSearch", "WeightedRetraining", "CellByCell",
    "Proposal", "GeneratorRetraining", "Outcomes",
    # tables
    "AbstractObjective", "Objective", "read_objective", "RobustnessTable",
    "AGNetError",
]  # fmt: skip
