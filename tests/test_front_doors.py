"""The packages' public names: complete, importable one by one, cheap to list, and what configurations name."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from agnet.runtime.paths import CONF_DIR, ROOT

PACKAGES = ("agnet", "search", "evaluation")
HEAVY = ("torch_geometric", "matplotlib", "xgboost", "sklearn", "wandb", "scipy.stats")
"""Packages that take long to import and that most commands do without."""

COMMANDS = ("search.run", "search.compare", "search.import_table", "evaluation.attack", "evaluation.run")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package: str) -> None:
    door = import_module(package)
    assert set(door.__all__) <= set(dir(door))
    for name in dir(door):
        assert getattr(door, name).__name__ == name


@pytest.mark.parametrize("path", sorted(CONF_DIR.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF_DIR)))
def test_configurations_name_public_names(path: Path) -> None:
    """A new part needs no public name: then its yaml gives the module, e.g. agnet.spaces.mine.Mine."""
    for target in re.findall(r"_target_: ([\w.]+)", path.read_text()):
        package, _, name = target.partition(".")
        if package in PACKAGES and name not in dir(import_module(package)):
            module, _, member = target.rpartition(".")
            assert member not in dir(import_module(package)), f"write {package}.{member}"
            assert hasattr(import_module(module), member), target


@pytest.mark.parametrize("package", PACKAGES)
def test_a_front_door_imports_nothing_by_itself(package: str) -> None:
    """Listing the names of a package costs no import of torch."""
    code = f"import sys, {package}; dir({package}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.sample(2)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_what_it_uses_later(command: str) -> None:
    code = f"import sys, {command}; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
