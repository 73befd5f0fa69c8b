"""The published robustness dataset's folder, as its own reader class expects it: names and nesting.

Source: Jung, Lukasik & Keuper, 2023, https://github.com/steffen-jung/robustness-dataset. A folder holds ``meta.json``
and one folder per image set with files ``<key>_<measure>.json``. ``meta.json`` has ``ids``: for every id the string
(``nb201-string``) and the id of the network that was evaluated in its place (``isomorph``); and ``epsilons``: for
every attack its radii in units of 1/255. A file nests image set, key, measure and id (text); the value is one for
``clean``, one per radius for an attack, and one per severity 1..5 for a corruption. Accuracies are fractions.

What the source leaves open is said in ``meta.json`` under ``agnet``: the confidence is the mean highest softmax of all
reported images, and a confusion matrix (``cm``) has counts with true classes as rows.
"""

META = "meta.json"
ATTACKS = {"fgsm@Linf": "fgsm", "pgd@Linf": "pgd", "aa_apgd-ce@Linf": "apgd_ce", "aa_square@Linf": "square"}
"""The files' keys of the dataset's attacks and our names; others are ``name@norm``."""

CORRUPTIONS = (
    *("brightness", "contrast", "defocus_blur", "elastic_transform", "fog", "frost", "gaussian_noise", "glass_blur"),
    *("impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "shot_noise", "snow", "zoom_blur"),
)

_NORMS = {"linf": "Linf", "l2": "L2"}


def file_name(key: str, measure: str) -> str:
    """A file's name in the folder of its image set.

    Example:
        >>> file_name("pgd@Linf", "accuracy")
        'pgd@Linf_accuracy.json'
    """
    return f"{key}_{measure}.json"


def attack_name(key: str) -> str:
    """Our name of an attack.

    Example:
        >>> attack_name("aa_apgd-ce@Linf"), attack_name("apgd_t@Linf")
        ('apgd_ce', 'apgd_t')
    """
    return ATTACKS.get(key, key.split("@")[0])


def attack_key(name: str, norm: str = "linf") -> str:
    """The files' key of an attack.

    Example:
        >>> attack_key("square"), attack_key("apgd_t", "l2")
        ('aa_square@Linf', 'apgd_t@L2')
    """
    return {ours: key for key, ours in ATTACKS.items()}.get(name, f"{name}@{_NORMS.get(norm, norm)}")
