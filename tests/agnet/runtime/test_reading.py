"""Files that may be damaged or hostile: a value, or one line."""

import gzip
import os
from pathlib import Path

import pytest

from agnet.errors import UnreadableFile
from agnet.runtime.reading import read_bytes, read_json, read_text


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'"\xff"', b"\x1f\x8b\x00"])
def test_broken_json_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile, match="no JSON"):
        read_json(path)


def test_packed_json_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "unit.json.gz"
    path.write_bytes(gzip.compress(b"[1, 2]"))
    assert read_json(path) == [1, 2]
    path.write_bytes(gzip.compress(b" " * 2_000_000))
    with pytest.raises(UnreadableFile, match="unpacks to more than 1000000 bytes"):
        read_json(path, most=1_000_000)
    for data in (b"", b"no gzip", gzip.compress(b"[1, 2]")[:-9]):
        path.write_bytes(data)
        with pytest.raises(UnreadableFile):
            read_json(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, tmp_path / ("a" * 300), tmp_path / "a\0b"):
        with pytest.raises(UnreadableFile, match="cannot read"):
            read_bytes(path)
    (tmp_path / "latin").write_bytes(b"\xe4")
    with pytest.raises(UnreadableFile, match="no UTF-8"):
        read_text(tmp_path / "latin")
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(UnreadableFile, match="11 bytes, more than the 10"):
        read_bytes(tmp_path / "large", most=10)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UnreadableFile, match="no plain file"):
            read_bytes(path, most=1000)
