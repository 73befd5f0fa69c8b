"""The cluster the other tests here run on, and what submitit sees of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import submitit

from tests.slurm import cluster
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.conftest import start


def square(x: int) -> tuple[int, str]:
    time.sleep(1)  # long enough for the next task to be given to another core
    return x * x, os.environ["SLURMD_NODENAME"]


def hold_gpu(_: int) -> tuple[str, str, float, float]:
    begin = time.time()
    time.sleep(1)
    return os.environ["SLURMD_NODENAME"], os.environ["CUDA_VISIBLE_DEVICES"], begin, time.time()


def linger(folder: Path, name: str) -> None:
    """Write the process's number at every start; end at the second."""
    path = folder / f"{name}.{os.environ.get('SLURM_RESTART_COUNT', '0')}"
    path.with_suffix(".partial").write_text(str(os.getpid()))
    path.with_suffix(".partial").rename(path)
    if path.suffix == ".0":
        time.sleep(600)


def executor(folder: Path, **settings: int) -> submitit.AutoExecutor:
    found = submitit.AutoExecutor(folder=folder / "submitit", cluster="slurm")
    found.update_parameters(timeout_min=5, mem_gb=0.5, cpus_per_task=1, **settings)
    return found


def wait_for(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_an_array_runs_on_both_nodes_and_on_one_while_the_other_is_drained(
    slurm_cluster: Cluster, tmp_path: Path
) -> None:
    def results(count: int) -> list[tuple[int, str]]:
        return [job.result() for job in executor(tmp_path).map_array(square, range(count))]

    found = results(8)
    assert [value for value, _ in found] == [x * x for x in range(8)]
    assert {node for _, node in found} == {"node1", "node2"}
    slurm_cluster.run("scontrol", "update", "nodename=node2", "state=drain", "reason=test")
    assert slurm_cluster.state("node2") in ("draining", "drained")
    assert {node for _, node in results(4)} == {"node1"}
    slurm_cluster.run("scontrol", "update", "nodename=node2", "state=resume")
    assert {node for _, node in results(4)} == {"node1", "node2"}


@pytest.mark.slow
def test_a_gpu_is_one_jobs_at_a_time(slurm_cluster: Cluster, tmp_path: Path) -> None:
    jobs = executor(tmp_path, gpus_per_node=1).map_array(hold_gpu, range(4))
    found = sorted(job.result() for job in jobs)
    assert {(node, device) for node, device, _, _ in found} == {("node1", "0"), ("node2", "0")}
    for (node, _, _, end), (other, _, begin, _) in pairwise(found):
        assert node != other or end <= begin


@pytest.mark.slow
def test_killed_and_cancelled_tasks_have_failed(
    slurm_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitit.SlurmJob, "_results_timeout_s", 1)  # how long it looks for the result of an ended job
    names = ["killed", "cancelled", "requeued", "untouched"]
    jobs = dict(zip(names, executor(tmp_path).map_array(linger, [tmp_path] * 4, names), strict=True))
    wait_for(lambda: all((tmp_path / f"{name}.0").exists() for name in names))
    os.kill(int((tmp_path / "killed.0").read_text()), signal.SIGKILL)
    slurm_cluster.run("scancel", jobs["cancelled"].job_id)
    slurm_cluster.run("scontrol", "requeue", jobs["requeued"].job_id)
    wait_for(lambda: all(jobs[name].done(force_check=True) for name in ("killed", "cancelled")))
    for name, state in (("killed", "FAILED"), ("cancelled", "CANCELLED")):
        error = jobs[name].exception()
        assert isinstance(error, submitit.core.utils.UncompletedJobError)
        assert f"(state: {state}" in str(error)
        show = ("scontrol", "show", "job", jobs[name].job_id)
        wait_for(lambda show=show, state=state: f"JobState={state}" in slurm_cluster.run(*show))
    assert jobs["requeued"].result() is None
    assert (tmp_path / "requeued.1").exists()
    assert jobs["untouched"].get_info()["State"] == "RUNNING"
    assert not jobs["untouched"].done()


@pytest.mark.slow
def test_a_second_cluster_does_not_collide_and_leaves_nothing_behind(shared_cluster: Cluster, tmp_path: Path) -> None:
    other = start()
    try:
        command = f"echo $$ > {tmp_path / 'pid'}; exec sleep 600"
        other.run("sbatch", f"--output={tmp_path / 'out'}", f"--wrap={command}")
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        assert not shared_cluster.run("squeue", "--noheader")
        assert len(mentioning(other.folder)) >= len(("munged", "mariadbd", "slurmdbd", "slurmctld", "node1", "node2"))
    finally:
        other.stop()
    assert not other.folder.exists()
    assert not mentioning(other.folder)
    assert not is_running(int((tmp_path / "pid").read_text()))
    assert shared_cluster.state("node1") == "idle"


def mentioning(folder: Path) -> list[int]:
    """Processes with a folder in their command line or environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in text:
            found.append(int(entry.name))
    return found


def is_running(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_fails_to_start_is_named_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cluster"
    ended = subprocess.run(
        [sys.executable, cluster.__file__, "stop", str(folder)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, f"{folder} holds no cluster: there is no slurm.conf\n")
    (tmp_path / "mine").touch()
    with pytest.raises(ClusterError, match="is not empty, and would be removed with the cluster; give a new folder"):
        Cluster(tmp_path).start()
    with pytest.raises(ClusterError, match=r"too long a path for a socket; take one in /tmp"):
        Cluster(tmp_path / ("long" * 25)).start()
    monkeypatch.setattr(cluster, "DAEMONS", ("python3", "slurmlord"))
    with pytest.raises(ClusterError, match=r"^no .*slurmlord.*; as root: apt-get install .*slurm-wlm"):
        Cluster(folder).start()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
