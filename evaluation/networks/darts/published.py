"""Published pairs of DARTS cells, and a reader for every notation of them."""

from collections.abc import Sequence
from pathlib import Path

from agnet.errors import ConfigurationError, UnreadableFile
from agnet.runtime.reading import read_json, read_text
from agnet.spaces.darts.genotype import from_genotype, from_pairs
from agnet.spaces.darts.notation import parse, to_string


def _pair(normal: str, reduce: str) -> str:
    """A pair from eight operations each, written short: ``s3`` for ``sep_conv_3x3``, with what it reads."""
    return to_string({"normal": from_pairs(_pairs(normal)), "reduce": from_pairs(_pairs(reduce))})


def _pairs(text: str) -> Sequence[tuple[str, int]]:
    return [(_SHORT[word[:-1]], int(word[-1])) for word in text.split()]


_SHORT = {
    "s3_": "sep_conv_3x3",
    "s5_": "sep_conv_5x5",
    "d3_": "dil_conv_3x3",
    "d5_": "dil_conv_5x5",
    "skip_": "skip_connect",
    "max_": "max_pool_3x3",
    "avg_": "avg_pool_3x3",
}

PUBLISHED = {
    "darts_v1": _pair(
        "s3_1 s3_0 skip_0 s3_1 skip_0 s3_1 s3_0 skip_2", "max_0 max_1 skip_2 max_0 max_0 skip_2 skip_2 avg_0"
    ),
    "darts_v2": _pair(
        "s3_0 s3_1 s3_0 s3_1 s3_1 skip_0 skip_0 d3_2", "max_0 max_1 skip_2 max_1 max_0 skip_2 skip_2 max_1"
    ),
    "pdarts": _pair("skip_0 d3_1 skip_0 s3_1 s3_1 s3_3 s3_0 d5_4", "avg_0 s5_1 s3_0 d5_2 max_0 d3_1 d3_1 d5_3"),
    "pc_darts_cifar": _pair("s3_1 skip_0 s3_0 d3_1 s5_0 s3_1 avg_0 d3_1", "s5_1 max_0 s5_1 s5_2 s3_0 s3_3 s3_1 s3_2"),
    "pc_darts_imagenet": _pair(
        "skip_1 s3_0 s3_0 skip_1 s3_1 s3_3 s3_1 d5_4", "s3_0 skip_1 d5_2 max_1 s3_2 s3_1 s5_0 s3_3"
    ),
}
"""DARTS of first and second order (Liu et al., 2019), P-DARTS (Chen et al., 2019, https://arxiv.org/abs/1904.12760),
PC-DARTS found on CIFAR-10 and on ImageNet (Xu et al., 2020, https://arxiv.org/abs/1907.05737)."""


def read_architecture(text: str) -> str:
    """The space's string of an architecture in any notation.

    Args:
        text: the string itself; a name in :data:`PUBLISHED`; DARTS' ``Genotype(...)``; or the path of a search's
            ``result.json``, of which the best is taken, or of a text file with one of the former.

    Raises:
        ConfigurationError: if a file is missing or holds no architecture.
        InvalidArchitecture: if the text is no pair of DARTS cells.

    Example:
        >>> read_architecture("darts_v2").split("+")[0]
        '|sep_conv_3x3~0|sep_conv_3x3~1|'
    """
    text = text.strip()
    if text in PUBLISHED:
        return PUBLISHED[text]
    if text.endswith((".json", ".txt")):
        return read_architecture(_content(Path(text).expanduser()))
    if text.startswith("Genotype"):
        return from_genotype(text)
    if "|" not in text:
        raise ConfigurationError(
            f"architecture={text}: give the space's string, Genotype(...), a search's result.json, a .txt file, or one "
            f"of {', '.join(PUBLISHED)}"
        )
    parse(text)
    return text


def _content(path: Path) -> str:
    """The architecture in a file."""
    try:
        found = read_json(path)["best"]["architecture"] if path.suffix == ".json" else read_text(path)
    except (UnreadableFile, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"architecture={path}: {type(error).__name__}: {error}; give a search's result.json that has a best "
            "architecture, or a text file with one"
        ) from error
    if not isinstance(found, str) or str(found).strip().endswith((".json", ".txt")):
        raise ConfigurationError(f"architecture={path} holds no architecture")
    return found
