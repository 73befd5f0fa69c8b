"""``kill -9`` of the whole command at any moment: the same command continues and ends with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from agnet.runtime.paths import ROOT

COMMAND = [
    *(sys.executable, "-m", "evaluation.run", "num_architectures=12", "draw_seed=0", "group_size=1"),
    *("dataset.num_valid=40", "dataset.num_test=30", "network.channels=2", "recipe.epochs=1"),
    *("attack.fgsm.eps_255=[16]", "attack.pgd.steps=1", "executor=local"),
]


def table(folder: Path) -> dict[str, list[object]]:
    content = pq.read_table(folder / "nasbench201_digits.parquet").to_pydict()
    del content["digits_cpu_latency_ms"]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 7])
def test_a_killed_production_continues(units: int, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = subprocess.Popen([*COMMAND, f"out={out}"], cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("units/*.json.gz"))) < units:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # the fork server's children notice that it is gone
    assert not (out / "nasbench201_digits.parquet").exists()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("units/*.json.gz")}
    assert units <= len(kept) < 12
    subprocess.run([*COMMAND, f"out={out}"], cwd=ROOT, check=True, timeout=300)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was whole is not made again"
    whole = tmp_path / "whole"
    subprocess.run([*COMMAND, f"out={whole}", "executor=inline"], cwd=ROOT, check=True, timeout=300)
    assert table(out) == table(whole)
    assert json.loads((out / "production.json").read_text())["units"] == {"done": 12, "failed": 0, "missing": 0}
