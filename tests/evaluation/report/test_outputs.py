"""Names and texts that come from a table do nothing in the files of a report."""

import csv
from pathlib import Path

import pytest

from agnet.errors import ConfigurationError
from evaluation.report.outputs import Outputs
from evaluation.report.summary import plain


def test_spreadsheets_run_nothing(tmp_path: Path) -> None:
    Outputs(tmp_path).csv("a.csv", {"=1+1": ["=cmd|' /C calc'!A0", "@x", "plain"], "number": [-1.5, 2.0, -3]})
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert rows == [["'=1+1", "number"], ["'=cmd|' /C calc'!A0", "-1.5"], ["'@x", "2"], ["plain", "-3"]]


@pytest.mark.parametrize("name", ["../a.csv", "/tmp/a.csv", "x/../../a.csv", "a b.csv", ""])
def test_files_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a part of a file's name"):
        Outputs(tmp_path / "out").text(name, "text")
    assert not (tmp_path / "a.csv").exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match="lies outside of"):
        Outputs(tmp_path / "out").text("x/a.csv", "text")


def test_markdown_shows_names_as_they_are() -> None:
    assert plain("a|b\n# c [d](e) <img src=x>") == "a\\|b # c \\[d\\](e) &lt;img src=x&gt;"
