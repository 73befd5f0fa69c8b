"""A SLURM cluster of two nodes on this machine's loopback: real daemons, with accounting, all of it in one folder.

``python tests/slurm/cluster.py start DIR``, then ``export SLURM_CONF=DIR/slurm.conf`` and use ``sbatch``, ``squeue``,
``sacct``, ``scontrol`` as anywhere; ``python tests/slurm/cluster.py stop DIR`` cancels the jobs, ends the daemons and
removes the folder. Several clusters may run at a time.

It installs nothing. On Debian and Ubuntu:
``apt-get install --no-install-recommends slurm-wlm slurmdbd munge mariadb-server-core``.

The database is there because submitit reads the states of jobs from ``sacct``: without accounting it takes a job that
was cancelled or killed for a running one, for ever.
"""

import argparse
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

NODES = ("node1", "node2")
CPUS = 2
"""Of each node, whatever this machine has."""

DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")
SYSTEM_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")
INSTALL = "apt-get install --no-install-recommends slurm-wlm slurmdbd munge mariadb-server-core"
LONGEST_SOCKET = 107
"""Bytes that a path of a UNIX socket may have."""

SLURM_CONF = """\
ClusterName=agnet
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# a requeued job waits as long as a credential lives, two minutes by default
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/log/%n.jobs
# no control groups: containers seldom give them away. Cores and memory are counted, but not enforced.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
MinJobAge=3600
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[1]}
AccountingStoragePass={folder}/munge.socket
GresTypes=gpu
NodeName=DEFAULT CPUs={cpus} RealMemory=16000 Gres=gpu:1
NodeName={nodes[0]} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]}
NodeName={nodes[1]} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[3]}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

GRES_CONF = "Name=gpu File=/dev/null"
"""One GPU per node that is given out like a real one, so that jobs may ask for it."""

SLURMDBD_CONF = """\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[1]}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm
PidFile={folder}/slurmdbd.pid
"""


class ClusterError(RuntimeError):
    """A cluster that cannot be started or stopped."""


def missing_programs() -> str:
    """What this machine lacks and how to get it; empty if nothing."""
    missing = [name for name in DAEMONS if _program(name) is None]
    if not SYSTEM_TABLES.is_file():
        missing.append(str(SYSTEM_TABLES))
    return f"no {', '.join(missing)}; as root: {INSTALL}" if missing else ""


def _program(name: str) -> str | None:
    """Daemons lie where only root's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Cluster:
    """A cluster that lies in a folder.

    Args:
        folder: holds configuration, keys, sockets, logs and the database; :meth:`stop` removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.configuration = self.folder / "slurm.conf"

    def run(self, *command: str) -> str:
        """What one of SLURM's commands prints.

        Raises:
            ClusterError: with what it says, if it fails or takes a minute.
        """
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        try:
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{' '.join(command)} does not answer") from error
        if ended.returncode:
            raise ClusterError(f"{' '.join(command)}: {ended.stderr.strip() or f'exit status {ended.returncode}'}")
        return ended.stdout

    def start(self) -> None:
        """Configure and start everything, and wait for both nodes; what fails to start leaves nothing behind.

        Raises:
            ClusterError: if a program is missing, the folder does not fit, or a daemon does not come up.
        """
        if len(os.fsencode(self.folder / "mariadb.socket")) > LONGEST_SOCKET:
            raise ClusterError(f"{self.folder} is too long a path for a socket; take one in /tmp")
        if self.folder.exists() and any(self.folder.iterdir()):
            raise ClusterError(f"{self.folder} is not empty, and would be removed with the cluster; give a new folder")
        if lack := missing_programs():
            raise ClusterError(lack)
        self._configure()
        try:
            self._start_daemons()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancel the jobs, end the daemons, remove the folder.

        Raises:
            ClusterError: if no cluster lies in the folder.
        """
        if not self.configuration.is_file():
            raise ClusterError(f"{self.folder} holds no cluster: there is no {self.configuration.name}")
        try:
            if self._is_alive("slurmctld"):
                self.cancel_jobs()
        finally:
            for name in (*NODES, "slurmctld", "slurmdbd", "mariadbd", "munged"):
                self._end(name)
            shutil.rmtree(self.folder)

    def state(self, node: str) -> str:
        """Of a node: ``idle``, ``allocated``, ``drained``, ..."""
        return self.run("sinfo", "--noheader", f"--nodes={node}", "--format=%T").strip()

    def cancel_jobs(self) -> None:
        """Cancel all jobs and wait until they have ended."""
        user = pwd.getpwuid(os.getuid()).pw_name
        self.run("scancel", "--user", user)
        self._wait("the jobs' end", lambda: not self.run("squeue", "--noheader").strip())

    def _configure(self) -> None:
        for name in ("state", "log", "pids", "database", *NODES):
            (self.folder / name).mkdir(parents=True)
        values = {
            "folder": self.folder,
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "ports": _free_ports(4),
            "nodes": NODES,
            "cpus": CPUS,
        }
        self.configuration.write_text(SLURM_CONF.format(**values))
        (self.folder / "gres.conf").write_text(GRES_CONF)
        for name, text in (("slurmdbd.conf", SLURMDBD_CONF.format(**values)), ("munge.key", secrets.token_hex(512))):
            path = self.folder / name
            path.touch(mode=0o600)  # both daemons refuse secrets that others may read
            path.write_text(text)

    def _start_daemons(self) -> None:
        at, user = str(self.folder), pwd.getpwuid(os.getuid()).pw_name
        munge = [f"--{kind}-file={at}/munge.{kind}" for kind in ("key", "seed", "pid")]
        # --force: the folder may be the user's alone, where munged wants a socket that everyone reaches
        self._launch("munged", "munged", "--foreground", "--force", f"--socket={at}/munge.socket", *munge)
        self._wait("munged", (self.folder / "munge.socket").exists)

        database = ["--no-defaults", f"--user={user}", f"--datadir={at}/database", "--innodb-log-file-size=8M"]
        tables = f"create database mysql;\nuse mysql;\n{SYSTEM_TABLES.read_text()}"
        with (self.folder / "log" / "bootstrap.log").open("w") as log:
            command = [str(_program("mariadbd")), *database, "--bootstrap"]
            subprocess.run(command, input=tables, text=True, stdout=log, stderr=log, check=True)
        # no passwords, but no port either: its socket lies in the folder
        unlocked = ["--skip-grant-tables", "--skip-networking", f"--socket={at}/mariadb.socket"]
        self._launch("mariadbd", "mariadbd", *database, *unlocked)
        self._wait("mariadbd", (self.folder / "mariadb.socket").exists)

        self._launch("slurmdbd", "slurmdbd", "-D")
        self._wait("slurmdbd", lambda: self._answers("sacctmgr", "--noheader", "list", "cluster"))
        self._launch("slurmctld", "slurmctld", "-D")
        self._wait("slurmctld", lambda: self._answers("scontrol", "ping"))
        for node in NODES:
            self._launch(node, "slurmd", "-D", "-N", node)
        self._wait("the nodes", lambda: all(self.state(node) == "idle" for node in NODES))

    def _launch(self, name: str, program: str, *arguments: str) -> None:
        """Start a daemon in the background; it outlives this process."""
        here = {"AGNET_SLURM": str(self.folder), "MYSQL_UNIX_PORT": f"{self.folder}/mariadb.socket"}
        with (self.folder / "log" / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [str(_program(program)), *arguments],
                env=os.environ | here | {"SLURM_CONF": str(self.configuration)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.folder / "pids" / name).write_text(str(process.pid))
        while process.poll() is None and not self._is_alive(name):  # its environment is not there at once
            time.sleep(0.001)
        process.returncode = 0  # it is not this process that will wait for its end

    def _answers(self, *command: str) -> bool:
        try:
            self.run(*command)
        except ClusterError as error:
            (self.folder / "log" / "answer.log").write_text(str(error))  # shown if it stays so
            return False
        return True

    def _wait(self, name: str, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait for something of the cluster.

        Raises:
            ClusterError: with the ends of all logs, if a daemon ends or the time is up.
        """
        end = time.monotonic() + seconds
        while not condition():
            dead = [path.name for path in (self.folder / "pids").iterdir() if not self._is_alive(path.name)]
            if dead or time.monotonic() > end:
                reason = f"{', '.join(dead)} ended" if dead else f"{seconds:g} s have passed"
                logs = [f"{path.name}: ...{path.read_text()[-1_000:]}" for path in (self.folder / "log").iterdir()]
                raise ClusterError("\n".join([f"waiting for {name}: {reason}", *logs]))
            time.sleep(0.1)

    def _pid(self, name: str) -> int | None:
        """Of a daemon that runs; a later process with the same number is not taken for it."""
        try:
            pid = int((self.folder / "pids" / name).read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return None
        return pid if state != "Z" and os.fsencode(f"AGNET_SLURM={self.folder}") in environment else None

    def _is_alive(self, name: str) -> bool:
        return self._pid(name) is not None

    def _end(self, name: str) -> None:
        for end in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 10
            if pid := self._pid(name):
                os.kill(pid, end)
            while self._is_alive(name) and time.monotonic() < deadline:
                time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Start or stop a SLURM cluster on loopback")
    parser.add_argument("command", choices=["start", "stop"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder)
    try:
        cluster.start() if arguments.command == "start" else cluster.stop()
    except ClusterError as error:
        sys.exit(str(error))
    if arguments.command == "start":
        print(f"export SLURM_CONF={cluster.configuration}")


if __name__ == "__main__":
    main()
