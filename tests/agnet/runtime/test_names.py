"""Names that become paths."""

from pathlib import Path

import pytest

from agnet.errors import ConfigurationError
from agnet.runtime.names import file_name, inside


@pytest.mark.parametrize("name", ["pgd", "cifar10_test", "a.b-c+d=e", "_x", "9"])
def test_plain_names_stay(name: str) -> None:
    assert file_name(name, "attack") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a b", "a\n", "ä", "a..b", "-x", "a" * 201]
)
def test_paths_and_odd_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="attack"):
        file_name(name, "attack")


def test_paths_stay_inside(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    assert inside(folder, "a/b.csv") == folder / "a/b.csv"
    for path in ("../x", "/etc/x", "a/../../x", "link/x"):
        with pytest.raises(ConfigurationError, match="outside"):
            inside(folder, path)
