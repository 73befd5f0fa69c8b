"""The layout of the robustness dataset of NAS-Bench-201: names of its files and keys, and ours.

Source: Jung, Lukasik & Keuper, 2023, https://github.com/steffen-jung/robustness-dataset. A folder holds ``meta.json``
and one folder per data set, with a file ``<key>_<measure>.json`` for each key and measure. ``meta.json`` has two
entries. ``ids`` gives for every id the string (``nb201-string``) and the id of the network that was evaluated in its
place (``isomorph``). ``epsilons`` gives for every attack its radii in units of 1/255. A file nests data set, key,
measure and id, and holds evaluated ids only. A value is a scalar for ``clean``, a list for an attack (one per radius)
and a list for a corruption (one per severity 1..5). Accuracies and confidences are fractions, confusion matrices are
nested lists.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agnet.tables.columns import ATTACK, CLEAN, CORRUPTION, PUBLISHED_NAMES, Column

ATTACKS = {"fgsm@Linf": "fgsm", "pgd@Linf": "pgd", "aa_apgd-ce@Linf": "apgd_ce", "aa_square@Linf": "square"}
"""The authors' keys of attacks -> our names. Any other attack's key is its name and norm, such as ``apgd_t@Linf``."""

CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost", "gaussian_noise", "glass_blur"),
    *("impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "shot_noise", "snow", "zoom_blur"),
)

SEVERITIES = (1, 2, 3, 4, 5)
MEASURES = ("accuracy", "confidence", "cm")
META = "meta.json"
STRING, ISOMORPH = "nb201-string", "isomorph"

_NORMS = {"linf": "Linf", "l2": "L2"}
_OTHER_ATTACK = re.compile(rf"([a-z]\w*)@(?:{'|'.join(_NORMS.values())})")


def folder_of(dataset: str) -> str:
    """Name of a data set's folder."""
    return next((theirs for theirs, ours in PUBLISHED_NAMES.items() if ours == dataset), dataset)


def key_of(kind: str, name: str, norm: str = "linf") -> str:
    """The authors' key of the clean images, an attack or a corruption.

    Example:
        >>> key_of("attack", "apgd_ce"), key_of("attack", "pgd_l2", "l2"), key_of("corruption", "fog")
        ('aa_apgd-ce@Linf', 'pgd_l2@L2', 'fog')
    """
    if kind != ATTACK:
        return name
    key = f"{name}@{_NORMS[norm]}"
    return next((theirs for theirs, ours in ATTACKS.items() if ours == name and norm == "linf"), key)


def attack_of(key: str) -> str | None:
    """Our name of the attack with a key; None if no attack has it.

    Example:
        >>> attack_of("aa_square@Linf"), attack_of("apgd_t@Linf"), attack_of("square@L2")
        ('square', 'apgd_t', None)
    """
    match = _OTHER_ATTACK.fullmatch(key)
    return ATTACKS.get(key) or (match[1] if match and match[1] not in ATTACKS.values() else None)


@dataclass(frozen=True)
class TreeFile:
    """One file of the tree, under the authors' names.

    Attributes:
        folder: name of the data set's folder.
        key: the authors' key of the attack or corruption, or ``clean``.
        measure: one of :data:`MEASURES`.
    """

    folder: str
    key: str
    measure: str = "accuracy"

    @property
    def path(self) -> Path:
        """Path of the file in the tree.

        Example:
            >>> TreeFile("cifar10", "pgd@Linf").path.as_posix()
            'cifar10/pgd@Linf_accuracy.json'
        """
        return Path(self.folder, f"{self.key}_{self.measure}.json")

    @property
    def steps(self) -> tuple[str, str, str]:
        """Keys that lead to the values by id."""
        return self.folder, self.key, self.measure

    def nest(self, values: dict[str, Any]) -> dict[str, Any]:
        """The file's content for its values by id."""
        return {self.folder: {self.key: {self.measure: values}}}

    def columns(self, radii: Sequence[float]) -> list[Column]:
        """Our columns for the file's values, in order.

        Args:
            radii: the attack's radii in units of 1/255, if the key is an attack's.
        """
        dataset = PUBLISHED_NAMES.get(self.folder, self.folder)
        if self.key == CLEAN:
            return [Column(dataset, "", CLEAN, CLEAN, quantity=self.measure)]
        if self.key in CORRUPTIONS:
            return [Column(dataset, "", CORRUPTION, self.key, float(s), self.measure) for s in SEVERITIES]
        attack = attack_of(self.key)
        assert attack is not None
        return [Column(dataset, "", ATTACK, attack, float(radius), self.measure) for radius in radii]


def ids(architectures: Sequence[str], isomorphs: Iterable[int]) -> dict[str, dict[str, str]]:
    """The entry ``ids`` of ``meta.json``.

    Args:
        architectures: strings in the order of ids.
        isomorphs: id of the evaluated network of each string.
    """
    pairs = enumerate(zip(architectures, isomorphs, strict=True))
    return {str(i): {STRING: architecture, ISOMORPH: str(isomorph)} for i, (architecture, isomorph) in pairs}
