"""What revision 8df56b3 left behind: its configurations are today's under new names, and its run folders resume."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from agnet.runtime.paths import CONF_DIR, ROOT
from agnet.runtime.renamed import current, current_override
from search.history import read_queries
from search.run import main
from search.run_directory import relevant

EARLIER = ROOT / "tests" / "golden" / "earlier_revision"
"""Made by that revision: resolved configurations by override, and a folder of 32 of 48 queries with random search."""

CONFIGURATIONS: dict[str, dict[str, Any]] = json.loads((EARLIER / "configurations.json").read_text())


@pytest.mark.parametrize("override", CONFIGURATIONS)
def test_configurations_are_todays_under_new_names(override: str) -> None:
    given = [current_override(override), *(["objective.tables=[a.parquet]"] if override == "objective=table" else [])]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        today = OmegaConf.to_container(compose("search", overrides=given), resolve=True)
    assert isinstance(today, dict)
    assert current(relevant(CONFIGURATIONS[override])) == relevant({str(key): value for key, value in today.items()})


def test_a_run_folder_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(folder: Path) -> list[tuple[str, dict[str, float]]]:
        settings = ["objective=digits", "objective.maximize=[digits_valid_pgd_eps16]", "objective.report=[]"]
        plain = ["optimizer=random_search", "budget=48", "plot=false", "progress=false", f"run_dir={folder}"]
        monkeypatch.setattr(sys, "argv", ["search/run.py", *settings, *plain])
        main()
        return [(query.architecture, query.values) for query in read_queries(folder / "history.jsonl")]

    shutil.copytree(EARLIER / "random_search", tmp_path / "resumed")
    begun = [(query.architecture, query.values) for query in read_queries(tmp_path / "resumed" / "history.jsonl")]
    resumed = search(tmp_path / "resumed")
    assert len(begun) == 32
    assert resumed[:32] == begun
    assert resumed == search(tmp_path / "whole")
