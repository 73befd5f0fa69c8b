"""Production on a real cluster: an array of shares, one killed, one node drained, resumed, as if nothing had been."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import submitit

from agnet.errors import TaskError
from agnet.runtime.executors import AbstractExecutor, InlineExecutor, SlurmExecutor
from agnet.runtime.paths import ROOT
from agnet.spaces.nasbench201 import NASBench201
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.data.bundled import digits
from evaluation.production.merge import representatives
from evaluation.production.produce import produce
from evaluation.production.protocol import Corruptions, Protocol
from evaluation.production.store import Found
from evaluation.training.sgd import Recipe
from tests.slurm.cluster import Cluster

CELLS = 12


def produced(folder: Path, executor: AbstractExecutor) -> Found:
    protocol = Protocol(
        digits(),
        channels=2,
        cells_per_stage=1,
        recipe=Recipe(epochs=10),
        attacks=[FGSM([8 / 255]), PGD([16 / 255], steps=5, relative_step=0.3)],
        corruptions=Corruptions(("fog",), num_images=20),
    )
    return produce(protocol, representatives(NASBench201())[:CELLS], folder, executor=executor, progress=False)


def units(folder: Path) -> list[Path]:
    return list(folder.glob("units/*.json.gz"))


def running(cluster: Cluster) -> dict[str, str]:
    """Jobs that run, and on which node."""
    lines = cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%A %N").splitlines()
    return dict(line.split() for line in lines)


@pytest.mark.slow
def test_a_share_is_killed_and_a_node_drained(
    slurm_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitit.SlurmJob, "_results_timeout_s", 1)  # how long it looks for the result of an ended job
    executor = SlurmExecutor(tasks_per_job=3, minutes=10, memory_gb=0.9, poll_seconds=0.5)
    out = tmp_path / "cluster"
    with ThreadPoolExecutor(1) as pool:
        production = pool.submit(produced, out, executor)
        deadline = time.monotonic() + 180
        while not units(out):
            assert time.monotonic() < deadline, "no unit appears"
            assert not production.done()
            time.sleep(0.05)
        found = running(slurm_cluster)
        assert set(found.values()) == {"node1", "node2"}, "shares of the array run on both nodes"
        killed = next(job for job, node in found.items() if node == "node1")
        slurm_cluster.run("scancel", "--signal=KILL", "--full", killed)
        slurm_cluster.run("scontrol", "update", "nodename=node2", "state=drain", "reason=test")
        with pytest.raises(TaskError, match=r"tasks were lost, .*SLURM job .*the same command continues"):
            production.result(timeout=300)
    done = {path: path.stat().st_mtime_ns for path in units(out)}
    assert 0 < len(done) < CELLS
    assert slurm_cluster.state("node2") in ("draining", "drained")
    resumed = produced(out, executor)
    assert slurm_cluster.state("node2") == "drained"
    assert {path: path.stat().st_mtime_ns for path in done} == done, "what was whole is not made again"
    local = produced(tmp_path / "local", InlineExecutor())
    assert len(resumed.records) == CELLS
    assert {u: (r.columns, r.outcomes) for u, r in resumed.records.items()} == {
        u: (r.columns, r.outcomes) for u, r in local.records.items()
    }


@pytest.mark.slow
def test_the_command(slurm_cluster: Cluster, tmp_path: Path) -> None:
    """Jobs read the images themselves: what travels is the configuration."""
    command = [
        *(sys.executable, "-m", "evaluation.run", "num_architectures=4", "group_size=2", "network.channels=2"),
        *("dataset.num_valid=40", "dataset.num_test=30", "recipe.epochs=1", "attack.fgsm.eps_255=[16]"),
    ]
    slurm = ["executor=slurm", "executor.tasks_per_job=1", "executor.memory_gb=0.9", "executor.poll_seconds=0.5"]
    tables = []
    for name, executor in (("slurm", slurm), ("inline", ["executor=inline"])):
        subprocess.run([*command, *executor, f"out={tmp_path / name}"], cwd=ROOT, check=True, timeout=300)
        content = pq.read_table(tmp_path / name / "nasbench201_digits.parquet").to_pydict()
        del content["digits_cpu_latency_ms"]
        tables.append(content)
    assert tables[0] == tables[1]
    [pickled, *_] = (tmp_path / "slurm" / "slurm").glob("*_submitted.pkl")
    assert pickled.stat().st_size < 20_000
