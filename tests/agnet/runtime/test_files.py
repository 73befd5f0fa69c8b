import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agnet.errors import StorageError
from agnet.runtime.files import names_in, replacing, write_text
from agnet.runtime.paths import ROOT


def test_text_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text.json"
    write_text(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_was_removed_meanwhile_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    assert names_in(tmp_path) == ["a", "b"]
    with pytest.raises(StorageError, match=r"gone was just written and cannot be read \(No such file"):
        names_in(tmp_path / "gone")


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "a long first text")
    write_text(path, "second")
    assert path.read_text() == "second"


def test_the_target_changes_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "text.json"
    write_text(path, "old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent, "a rename is atomic within one file system only"
        assert temporary.suffix == ".json", "writers look at the suffix"
        assert temporary.name.startswith("."), "what a kill leaves behind matches no shard pattern"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException], existing: bool) -> None:
    path = tmp_path / "text"
    if existing:
        write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [p.read_text() for p in tmp_path.iterdir()] == (["old"] if existing else [])


def test_a_writer_that_writes_elsewhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    with pytest.raises(StorageError), replacing(path) as temporary:
        temporary.unlink()
    assert path.read_text() == "old"


def test_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from agnet.runtime.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
