"""The naming scheme of a robustness table's columns.

======================================  =============================================================================
``cifar10_clean``                       clean accuracy, in percent
``cifar10_valid``, ``cifar10_test``     the same, of the validation or the test images
``cifar10_test_pgd_eps0.5``             accuracy under an attack at a radius in units of 1/255
``cifar10_test_fog_s3``                 accuracy under a corruption at a severity of 1..5
``cifar10_test_confidence_right``       mean highest softmax of the correctly classified images (``_wrong``: of the
                                        others); likewise of every attack and corruption
``cifar10_test_ece``                    expected calibration error of the clean images, in percent
``cifar10_jacobian_frobenius_trained``  a measure of the trained or of the ``initialised`` network
``cifar10_at_test_pgd_eps8``            any of these, of networks that were trained adversarially
======================================  =============================================================================

A table that evaluates a single set of images has no ``valid`` or ``test`` in its names, e.g. the published dataset.
"""

import re
from dataclasses import dataclass

SPLITS = ("valid", "test")
QUANTITIES = ("accuracy", "confidence", "confidence_right", "confidence_wrong", "ece")
STATES = ("initialised", "trained")
CLEAN, ATTACK, CORRUPTION, MEASURE = "clean", "attack", "corruption", "measure"
ECE = "ece"

ADVERSARIALLY = "at"
"""Follows the image set's name where networks were trained adversarially."""

PUBLISHED_NAMES = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16"}
"""The benchmarks' names of their image sets -> ours."""

_DATASET = rf"(?P<dataset>[^_]+(?:_{ADVERSARIALLY})?)"
_QUANTITY = r"(?:_(?P<quantity>confidence(?:_right|_wrong)?|ece))?"
_LEVEL = r"_(?P<unit>eps|s)(?P<level>\d+(?:\.\d+)?(?:e-?\d+)?)"
_PATTERNS = [
    re.compile(pattern)
    for pattern in (
        rf"(?P<dataset>.+)_(?P<split>valid|test)_(?P<key>[a-z]\w*?){_LEVEL}{_QUANTITY}",
        rf"{_DATASET}_(?P<key>[a-z]\w*?){_LEVEL}{_QUANTITY}",
        rf"(?P<dataset>.+)_(?P<split>valid|test){_QUANTITY}",
        rf"(?P<dataset>.+)_(?P<key>clean){_QUANTITY}",
        rf"{_DATASET}_(?P<key>[a-z]\w*)_(?P<state>initialised|trained)",
    )
]


@dataclass(frozen=True, order=True)
class Column:
    """The parts of a column's name.

    Attributes:
        dataset: name of the image set, with ``_at`` where networks were trained adversarially.
        split: ``valid``, ``test``, or empty in a table of a single set of images.
        kind: ``clean``, ``attack``, ``corruption`` or ``measure``.
        key: ``clean``, or the name of the attack, the corruption or the measure.
        level: radius in units of 1/255, or severity; 0 if there is none.
        quantity: one of :data:`QUANTITIES`, or one of :data:`STATES` for a measure.
    """

    dataset: str
    split: str
    kind: str
    key: str
    level: float = 0.0
    quantity: str = "accuracy"

    @property
    def name(self) -> str:
        """The column's name.

        Example:
            >>> Column("cifar10", "test", "attack", "pgd", 0.5).name
            'cifar10_test_pgd_eps0.5'
        """
        if self.kind == MEASURE:
            return f"{self.dataset}_{self.key}_{self.quantity}"
        parts = [self.dataset, self.split]
        if self.kind == CLEAN:
            parts.append("" if self.split else self.key)
        else:
            parts.append(f"{self.key}_{'eps' if self.kind == ATTACK else 's'}{self.level:g}")
        parts.append("" if self.quantity == "accuracy" else self.quantity)
        return "_".join(part for part in parts if part)


def parse_column(name: str) -> Column | None:
    """Parse a column's name; None if it does not follow the scheme.

    Example:
        >>> parse_column("cifar10_apgd_ce_eps1")
        Column(dataset='cifar10', split='', kind='attack', key='apgd_ce', level=1.0, quantity='accuracy')
        >>> parse_column("parameters") is None
        True
    """
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(name):
            part = match.groupdict()
            unit, state = part.get("unit"), part.get("state")
            return Column(
                part["dataset"],
                part.get("split") or "",
                MEASURE if state else {"eps": ATTACK, "s": CORRUPTION}.get(unit or "", CLEAN),
                part.get("key") or CLEAN,
                float(part.get("level") or 0),
                state or part.get("quantity") or "accuracy",
            )
    return None
