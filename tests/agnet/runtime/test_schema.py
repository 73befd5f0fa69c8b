"""Values against annotations and models, on made-up ones; ``tests/configs`` has those of the commands."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field

from agnet.errors import ConfigurationError
from agnet.runtime.schema import Count, FilePath, OutFolder, Schema, Section, Seed, TablePath, Text, Threads
from agnet.runtime.sections import Builds, check_given, check_section


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


HERE = "tests.agnet.runtime.test_schema.target"


@pytest.mark.parametrize(
    "good",
    [
        {"count": 3, "rate": 2, "quick": False, "mode": "small"},
        {"name": None, "path": None, "levels": [1, 2.5]},
        {"name": "x", "path": "a/b", "levels": 3},
        {"anything": None},
        {"anything": {"_target_": "math.floor", "_partial_": True}},
        {"count": {"_target_": "math.floor", "_args_": [1.5]}},
    ],
)
def test_what_fits_passes(good: dict[str, Any]) -> None:
    check_section({"a": {"_target_": HERE, **good}})


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
        check_section({"group": [{"inner": {"_target_": HERE, key: value}}]})
    shown = {"None": "null", "True": "true", "False": "false"}.get(str(value), value)
    assert str(refusal.value) == f"group[0].inner.{key}={shown} should be {expected}"


def test_a_lone_value_is_put_into_its_list() -> None:
    with pytest.raises(ConfigurationError, match=r"columns=valid should be a list, each item text, e.g. \[valid\]"):
        check_section({"_target_": "tests.agnet.runtime.test_schema.listing", "columns": "valid"})


def listing(columns: Sequence[str]) -> None:
    """Takes several."""


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"_target_": "no.such.thing"}, "a._target_=no.such.thing cannot be imported (No module named 'no'); correct"),
        ({"_target_": "math.nope"}, "a._target_=math.nope cannot be imported (module 'math' has no attribute 'nope'"),
        ({"_target_": 3}, "a._target_=3 should be the import path of a class or function"),
        ({"_target_": ""}, "a._target_= should be the import path of a class or function"),
        ({"_target_": "math.pi"}, "a._target_=math.pi is neither a class nor a function; correct the path"),
        ({"_target_": HERE, "cuont": 1}, "no key a.cuont (did you mean a.count?)"),
        ({"_target_": HERE, "_partial_": "yes"}, "a._partial_=yes should be true or false"),
        ({"_target_": HERE, "anything": "x"}, "a.anything=x should be a section that makes a function; --help lists"),
        ({"_target_": HERE, "anything": {"b": 1}}, "a.anything._target_ is missing; give a.anything as one of the"),
        ({"_target_": HERE, "anything": {"_target_": "builtins.list"}}, "a.anything._target_=builtins.list makes no a"),
        ({"_target_": HERE, "rate": {"b": 1}}, "a.rate={'b': 1} should be a number"),
        ({"_target_": "agnet.LocalExecutor", "workers": -1}, "a.workers=-1 should be a whole number from 0"),
        ({"_target_": "agnet.GeneratorRetraining", "k": -0.5}, "a.k=-0.5 should be a number from 0"),
        ({"_target_": HERE, "rate": float("nan")}, "a.rate=nan; give a finite number"),
        ({"_target_": HERE, "count": 2**60}, "a.count=1152921504606846976 is too large; give at most"),
        ({"_target_": HERE, "name": " "}, "a.name=  is empty; give a value, or null where it may be missing"),
        ({"_target_": HERE, "name": 5, "rate": 1}, "a.name=5 should be text or null"),
        ({"_target_": HERE, "mode": "x" * 5000}, f"a.mode={'x' * 100}...{'x' * 10} (5000 characters) should be one of"),
    ],
)
def test_what_cannot_be_built(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_section({"a": section})
    assert str(refusal.value).startswith(said)


def test_a_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_that_ends.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "module_that_fails.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, said in [("ends", "its module exits with 3"), ("fails", "division by zero")]:
        with pytest.raises(ConfigurationError) as refusal:
            check_section({"a": {"_target_": f"module_that_{name}.Thing"}})
        assert (
            str(refusal.value) == f"a._target_=module_that_{name}.Thing cannot be imported ({said}); correct the path"
        )


def makes_a_list() -> list[int]:
    """Makes a list."""
    return []


def makes_something():
    """Does not say what it makes."""


@pytest.mark.parametrize(
    ("target", "made"),
    [
        ("builtins.list", True),
        (f"{__name__}.makes_a_list", True),
        (f"{__name__}.makes_something", False),
        ("builtins.dict", False),
        ("os.getcwd", False),
    ],
)
def test_a_section_builds_what_its_place_asks_for(target: str, made: bool) -> None:
    builds = Builds("builtins.list", "list")
    with nullcontext() if made else pytest.raises(ConfigurationError, match=rf"^a\._target_={target} makes no list;"):
        builds.check({"_target_": target}, "a")


@pytest.mark.parametrize("section", [{}, {"count": 1}])
def test_a_section_names_what_it_builds(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^a\.b\._target_ is missing; give a\.b as one of the choices"):
        Builds("builtins.list", "list", each=True).check({"b": section}, "a")


def test_a_value_that_has_to_be_given_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"^a\.path has no default; give a\.path=VALUE$"):
        check_given({"a": {"path": "???"}})


@pytest.mark.parametrize("text", ["a\0b", "a\udcff"])
def test_bytes_that_are_no_text(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^a\[0\]='a\\.* holds what is no text; write it in UTF-8$"):
        Root.check({"a": [text]})


def even(value: int) -> int:
    if value % 2:
        raise ValueError("give an even number")
    return value


class Sizes(Schema):
    """A section."""

    width: Count
    depth: Count | None


class Root(Schema):
    """A configuration."""

    seed: Seed = 0
    sizes: Sizes = Sizes(width=1, depth=None)
    built: Section | None = None
    names: list[Text] | None = None
    rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    many: Annotated[list[Count] | None, Field(min_length=1, description="numbers, e.g. [1,2]")] = None
    mode: Literal["fast", "small"] = "fast"
    quick: bool = True
    out: FilePath = "there"
    table: TablePath = "t.parquet"
    threads: Threads = 1
    folder: OutFolder = "there"
    pairs: Annotated[int, AfterValidator(even)] = 2


@pytest.mark.parametrize(
    "good",
    [
        {"seed": 2**31 - 1, "sizes": {"width": 1, "depth": 3}, "names": [], "rate": 1, "many": [3]},
        {"built": {"_target_": HERE, "count": 3}, "mode": "small", "quick": False},
        {"out": "./5", "table": "a/b.parquet"},
    ],
)
def test_a_configuration_that_fits_passes(good: dict[str, Any]) -> None:
    Root.check(good)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"seed": -1}, "seed=-1 should be a whole number from 0 to 2147483647"),
        ({"seed": True}, "seed=true should be a whole number from 0 to 2147483647"),
        ({"seed": None}, "seed=null should be a whole number from 0 to 2147483647"),
        ({"sizes": {"width": 0, "depth": 1}}, "sizes.width=0 should be a whole number from 1"),
        ({"sizes": {"width": 1, "depth": 0}}, "sizes.depth=0 should be a whole number from 1 or null"),
        ({"sizes": {"width": 1}}, "sizes.depth is missing; give a whole number from 1 or null"),
        ({"sizes": {"width": 1, "depth": 1, "wdith": 2}}, "no key sizes.wdith (did you mean sizes.width?)"),
        ({"sizes": 3}, "sizes=3 should be a section; --help shows its keys"),
        ({"sede": 1}, "no key sede (did you mean seed?)"),
        ({"built": {"_target_": HERE, "count": "x"}}, "built.count=x should be a whole number"),
        ({"built": 3}, "built=3 should be null or one of the choices that --help lists"),
        ({"names": ["a", ""]}, "names=['a', ''] should be null or a list, each item text"),
        ({"rate": 2}, "rate=2 should be a number from 0 to 1"),
        ({"rate": float("nan")}, "rate=nan should be a number from 0 to 1"),
        ({"many": []}, "many=[] should be numbers, e.g. [1,2]"),
        ({"many": [1, 0]}, "many=[1, 0] should be numbers, e.g. [1,2]"),
        ({"mode": "slow"}, "mode=slow should be one of fast, small"),
        ({"quick": 1}, "quick=1 should be true or false"),
        ({"out": ""}, "out= should be a path"),
        ({"out": 5}, "out=5 should be a path, e.g. ./5"),
        ({"out": "a" * 256}, f"out={'a' * 100}...{'a' * 10} (256 characters): a part of it is longer than 255 bytes"),
        ({"threads": 100_000}, f"threads=100000: this machine has {os.cpu_count()} processors; give at most "),
        (
            {"sizes": {"width": 10**30, "depth": 1}},
            "sizes.width=1000000000000000000000000000000: give at most 2147483647",
        ),
        ({"table": "t.csv"}, "table=t.csv should be a Parquet file, e.g. table.parquet"),
        ({"table": "???"}, "table has no default; give table=VALUE"),
        ({"pairs": 3}, "pairs=3: give an even number"),
    ],
)
def test_what_a_configuration_may_not_hold(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Root.check(config)
    assert str(refusal.value).startswith(said)


def test_a_part_of_a_configuration_has_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"^here\.sizes\.width=0 should"):
        Root.check({"sizes": {"width": 0, "depth": 1}}, "here")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    with pytest.raises(ConfigurationError, match=r"t\.parquet: this is a folder; name a file in it"):
        Root.check({"table": str(tmp_path / "t.parquet")})


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for there in ("file", "link"):
        for config in ({"folder": str(tmp_path / there)}, {"folder": str(tmp_path / there / "a" / "b")}):
            with pytest.raises(ConfigurationError, match=r"^folder=.* is no folder; choose another path$"):
                Root.check(config)
        with pytest.raises(ConfigurationError, match=r"^table=.* is no folder; choose another path$"):
            Root.check({"table": str(tmp_path / there / "t.parquet")})
    with pytest.raises(ConfigurationError, match=r"^folder=/proc/x: cannot write into /proc \(.*\); choose"):
        Root.check({"folder": "/proc/x"})
    Root.check({"folder": str(tmp_path / "a" / "b"), "table": str(tmp_path / "c" / "t.parquet")})
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}


def test_names_that_a_package_finds_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> Any:
        if name == "Thing":
            return target
        raise AttributeError(name)

    door = ModuleType("door")
    monkeypatch.setattr(door, "__getattr__", found, raising=False)
    monkeypatch.setitem(sys.modules, "door", door)
    with pytest.raises(ConfigurationError, match=r"^count=x should be a whole number$"):
        check_section({"_target_": "door.Thing", "count": "x"})
