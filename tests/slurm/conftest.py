import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import cluster
from tests.slurm.cluster import NODES, Cluster, missing_programs


def start() -> Cluster:
    """A cluster in a folder of its own: the paths of sockets are short, pytest's are not always."""
    if lack := missing_programs():
        pytest.skip(lack)
    folder = Path(tempfile.mkdtemp(prefix="agnet-slurm-"))
    subprocess.run([sys.executable, cluster.__file__, "start", str(folder)], check=True)
    return Cluster(folder)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    running = start()
    yield running
    running.stop()


@pytest.fixture
def slurm_cluster(shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that SLURM's commands find, with both nodes in service and no jobs."""
    monkeypatch.setenv("SLURM_CONF", str(shared_cluster.configuration))
    yield shared_cluster
    shared_cluster.cancel_jobs()
    for node in NODES:
        if shared_cluster.state(node).startswith(("drain", "down")):
            shared_cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
