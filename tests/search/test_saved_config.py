"""A run folder's configuration from a stranger: plain values, or one line."""

from itertools import pairwise
from pathlib import Path

import pytest

from agnet.errors import UnreadableFile
from search.saved_config import read_yaml


def test_plain_values_come_back(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: 1e5\nb: [x, null]\nc: {d: true, e: '5'}\n")
    assert read_yaml(path) == {"a": 1e5, "b": ["x", None], "c": {"d": True, "e": "5"}}
    path.write_text("")
    assert read_yaml(path) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: " + "[" * 120, "nested deeper"),
        ("a: [" + "1," * 200_000 + "]", "larger"),
        ("a: ${oc.env:HOME}", "interpolation"),
        ("a: !!python/object/apply:os.system [x]", "tag"),
        ("a: [1", "no YAML"),
        ("a: b: c", "no YAML"),
        ("\x00", "no YAML"),
        ("? [1]\n: 2", "no YAML"),
    ],
)
def test_hostile_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match=said) as refusal:
        read_yaml(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    names = "abcdefghi"
    lines = [
        "a: &a [x, x]",
        *(f"{n}: &{n} [{','.join([f'*{m}'] * 9)}]" for m, n in pairwise(names)),
    ]
    path.write_text("\n".join(lines))
    with pytest.raises(UnreadableFile, match="aliases"):
        read_yaml(path)
