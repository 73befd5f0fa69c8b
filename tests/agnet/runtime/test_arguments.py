"""Values against annotations, on the classes that configurations build and on made-up ones."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from agnet.errors import ConfigurationError
from agnet.runtime.arguments import check_arguments


def target(
    count: int = 1,
    rate: float = 1.0,
    name: str | None = None,
    path: Path | str | None = None,
    quick: bool = True,
    levels: float | Sequence[float] = 1.0,
    mode: Literal["fast", "small"] = "fast",
    anything: Callable[[], int] | None = None,
) -> None:
    """Something to configure."""


HERE = "tests.agnet.runtime.test_arguments.target"


@pytest.mark.parametrize(
    "good",
    [
        {"count": 3, "rate": 2, "quick": False, "mode": "small"},
        {"name": None, "path": None, "levels": [1, 2.5]},
        {"name": "x", "path": "a/b", "levels": 3},
        {"anything": "whatever", "unknown": object()},
        {"count": "???"},
        {"count": {"_target_": "math.floor", "_args_": [1.5]}},
    ],
)
def test_what_fits_passes(good: dict[str, Any]) -> None:
    check_arguments({"a": {"_target_": HERE, **good}})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("count", 1.5, "a whole number"),
        ("count", True, "a whole number"),
        ("count", None, "a whole number"),
        ("rate", "1e-3x", "a number"),
        ("rate", False, "a number"),
        ("name", 3, "text or null"),
        ("path", 3, "a path or text or null"),
        ("quick", "yes", "true or false"),
        ("quick", 1, "true or false"),
        ("levels", "abc", "a number or a list, each item a number"),
        ("levels", [1, "b"], "a number or a list, each item a number"),
        ("mode", "slow", "one of fast, small"),
    ],
)
def test_what_does_not_is_named_with_its_place(key: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_arguments({"group": [{"inner": {"_target_": HERE, key: value}}]})
    assert str(refusal.value) == f"group[0].inner.{key}={'null' if value is None else value} should be {expected}"


def test_a_lone_value_is_put_into_its_list() -> None:
    with pytest.raises(ConfigurationError, match=r"columns=valid should be a list, each item text, e.g. \[valid\]"):
        check_arguments({"_target_": "tests.agnet.runtime.test_arguments.listing", "columns": "valid"})


def listing(columns: Sequence[str]) -> None:
    """Takes several."""


def test_what_cannot_be_found_is_left_to_whoever_builds_it() -> None:
    check_arguments({"_target_": "no.such.thing", "count": "x"})
    check_arguments({"_target_": 3, "count": "x"})
