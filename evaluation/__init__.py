"""How a robustness table is made: networks, training, attacks, corruptions, production. ``evaluate`` attacks any
classifier.

``python -m evaluation.run`` and its neighbours are the commands. Names below are imported at their first use;
``__init__.pyi`` says where they are defined. Those that are not in ``__all__`` are named by configurations: streams
of training images, measures of untrained networks, and objectives.
"""

# pyright: reportUnsupportedDunderAll=false
import lazy_loader

from agnet.runtime.interrupts import quiet_start

quiet_start()
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

__all__ = [  # noqa: RUF022  each is defined where __init__.pyi says; grouped by meaning
    # attacks
    "evaluate", "Evaluation", "AttackOutcome", "AbstractAttack", "BatchAttack", "SteppedAttack",
    "FGSM", "PGD", "APGD", "Square", "FABT", "AutoAttack",
    # networks and their training
    "CellNetwork", "NetworkShape", "DARTSNetwork", "DARTSShape", "Recipe", "fit", "FinalRecipe",
    "AbstractAdversary", "PGDTraining", "FGSMRS", "NFGSM", "TRADES",
    # image sets
    "Images", "ImageSplits", "cifar10", "cifar100", "imagenet16", "digits", "image_folder", "image_npz",
]  # fmt: skip
