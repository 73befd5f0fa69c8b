import ast
import importlib.util
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from agnet.runtime.paths import CHECKPOINT_DIR, CONF_DIR, ROOT

PACKAGES = ("agnet", "evaluation", "search")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

FORBIDDEN = {
    "agnet": {"hydra", "omegaconf", "wandb", "tqdm", "matplotlib", "search", "evaluation", "tests", "benchmarks"},
    "evaluation": {"search", "tests", "benchmarks"},
    "search": {"evaluation", "tests", "benchmarks"},
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """First components of all imported modules, wherever the import stands; "." for a relative import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else str(node.module).split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_those_of_the_checkout(package: str) -> None:
    """``search`` and ``evaluation`` are names that others use too: ours must come first."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    locations = {Path(location).resolve() for location in spec.submodule_search_locations}
    assert locations == {ROOT / package}


def test_paths_lie_in_the_checkout() -> None:
    assert (ROOT / "pyproject.toml").is_file()
    assert CONF_DIR == ROOT / "conf"
    assert CONF_DIR.is_dir()
    assert CHECKPOINT_DIR == ROOT / "checkpoints"


def test_only_the_three_packages_are_installed() -> None:
    include = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isidentifier()}
    assert {name for name in folders if any(fnmatch(name, pattern) for pattern in include)} == set(PACKAGES)
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_tests_are_no_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import hydra.utils as u, os", {"hydra", "os"}),
        ("def f():\n    from wandb import init", {"wandb"}),
        ("if TYPE_CHECKING:\n    import search.run", {"search"}),
        ("from . import loop", {"."}),
        ("from agnet.spaces import NASBench201  # import wandb", {"agnet"}),
        ("text = 'import hydra'", set()),
    ],
)
def test_the_scan_sees_every_import(source: str, names: set[str]) -> None:
    assert imported(ast.parse(source)) == names


@pytest.mark.parametrize(
    "path", [p for name in PACKAGES for p in sources(name)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_who_imports_whom(path: Path) -> None:
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    package = path.relative_to(ROOT).parts[0]
    assert not names & FORBIDDEN[package], "see CONTRIBUTING, who imports whom"
    assert "." not in names, "imports are absolute"


@pytest.mark.parametrize("path", sources("agnet"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_does_not_print(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert "print" not in calls
