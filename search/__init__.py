"""How searches are run: the loop, baselines, run directories, results and their plots.

``python -m search.run`` and its neighbours are the commands. Names below are imported at their first use;
``__init__.pyi`` says where they are defined. Those that are not in ``__all__`` are named by configurations: parts
of baselines, loggers, importers of published files, and objectives.
"""

# pyright: reportUnsupportedDunderAll=false
import lazy_loader

from agnet.runtime.interrupts import quiet_start

quiet_start()
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

__all__ = [  # noqa: RUF022  each is defined where __init__.pyi says; grouped by meaning
    # the loop, and what it leaves behind
    "run_search", "History", "Query", "read_result",
    # baselines
    "RandomSearch", "LocalSearch", "RegularizedEvolution", "NSGA2", "ModelBasedSearch",
]  # fmt: skip
