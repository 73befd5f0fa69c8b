"""The commands and the code that README shows, as a newcomer runs them."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from agnet.runtime.paths import CHECKPOINT_DIR, CONF_DIR, ROOT
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import read_table
from evaluation.production.merge import representatives
from evaluation.production.unit import UnitEvaluator, UnitRecord
from evaluation.run import build_protocol
from search.history import read_queries


def test_a_search_on_the_bundled_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "search.run", f"run_dir={tmp_path / 'run'}", "budget=40", "logger=none"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    queries = read_queries(tmp_path / "run" / "history.jsonl")
    assert result["queries"] == len({q.architecture for q in queries}) == 40
    assert len(result["surrogate_spearman"]) == 3
    assert result["surrogate_spearman"][0] is None
    columns = ["cifar10micro_valid", "cifar10micro_test"]
    table = read_table([CHECKPOINT_DIR / "nasbench201_cifar10_micro.parquet"], columns)
    valid, test = table.lookup([result["best"]["architecture"]])[0].tolist()
    assert result["best"]["objective"]["cifar10micro_valid"] == pytest.approx(valid)
    assert result["best"]["report"]["cifar10micro_test"] == pytest.approx(test)
    assert result["pretrained"]["cpu_seconds"] > 0


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert 900 < int(said.split()[0]) <= 1000
    between = ast.literal_eval(next(line for line in said.splitlines() if line.startswith("['|")))
    assert len(between) == 1
    assert between[0] in NASBench201().enumerate()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.stem
)
def test_every_command_of_the_documents_names_an_existing_module_and_experiment(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    modules = set(re.findall(r"python -m ([\w.]+)", text))
    assert {"search.run", "search.pretrain", "evaluation.run"} <= modules or page.parent != ROOT
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    for experiment in set(re.findall(r"experiment=(\w+)", text)) - {"NAME"}:
        assert (CONF_DIR / "experiment" / f"{experiment}.yaml").is_file()


@pytest.mark.slow
def test_the_bundled_table_can_be_made_again() -> None:
    """The first block of the protocol, against the shipped numbers.

    On the processor that made the table they are equal, but for PGD's random starts and images (deviation 27); rounding
    of another one, amplified by training, moves single images: allow two points on average over the block. Columns that
    the shipped table does not have yet are left out.
    """
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("run", overrides=["experiment=digits", "out=unused"])
    group = representatives(NASBench201())[: cfg.group_size]
    records = [r for r in UnitEvaluator(build_protocol(cfg))(group, group, 0) if isinstance(r, UnitRecord)]
    path = CHECKPOINT_DIR / "nasbench201_digits.parquet"
    columns = [
        c for c in pq.read_schema(path).names if c.startswith(("digits_v", "digits_t")) and c in records[0].columns
    ]
    assert len(columns) >= 16, "clean accuracy, five radii of FGSM, two of PGD, on both splits"
    shipped = read_table([path], columns)
    expected = shipped.lookup(group).numpy()
    found = np.array([[record.columns[c] for c in columns] for record in records])
    assert np.abs(found - expected).mean() < 2
