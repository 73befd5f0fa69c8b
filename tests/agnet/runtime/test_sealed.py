"""Sealed files: whole, and whose they are, or refused."""

import json
from pathlib import Path

import pytest

from agnet.errors import UnreadableFile
from agnet.runtime.sealed import read_sealed, read_sealed_json, write_sealed, write_sealed_json

CONTENT = b"PK\x03\x04 and more \x00 bytes\n"
IDENTITY = {"config": "ab" * 32, "inputs": {"table": "t"}, "queries": 16}


def flips(data: bytes) -> list[bytes]:
    """The data with every bit flipped in turn."""
    return [data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :] for i in range(len(data)) for bit in range(8)]


def test_content_and_identity_come_back(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_sealed(path, CONTENT, kind="search state", identity=IDENTITY)
    found = read_sealed(path, kind="search state")
    assert (found.content, found.identity) == (CONTENT, IDENTITY)


def test_no_flipped_bit_passes(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    write_sealed(path, CONTENT, kind="search state", identity=IDENTITY)
    for data in flips(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(UnreadableFile, match=r"state\.pt is damaged"):
            read_sealed(path, kind="search state", unsealed=b"PK")


@pytest.mark.parametrize("keep", [0, 3, 70, -1])
def test_nothing_cut_off_passes(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "state.pt"
    write_sealed(path, CONTENT, kind="search state", identity=IDENTITY)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableFile, match="damaged"):
        read_sealed(path, kind="search state")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_sealed(path, CONTENT, kind="training checkpoint", identity={})
    with pytest.raises(UnreadableFile, match="it is no search state"):
        read_sealed(path, kind="search state")


def test_a_file_of_an_earlier_revision_has_no_identity(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(CONTENT)
    found = read_sealed(path, kind="search state", unsealed=b"PK")
    assert (found.content, found.identity) == (CONTENT, None)
    with pytest.raises(UnreadableFile):
        read_sealed(path, kind="search state")


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"kind": "search state"}', b"[" * 5000])
def test_a_forged_header_is_refused(tmp_path: Path, header: bytes) -> None:
    from agnet.runtime.digests import of_bytes

    rest = header + b"\n" + CONTENT
    path = tmp_path / "state.pt"
    path.write_bytes(b"agnet " + of_bytes(rest).encode() + b" " + rest)
    with pytest.raises(UnreadableFile):
        read_sealed(path, kind="search state")


def test_a_json_object_comes_back_or_is_refused(tmp_path: Path) -> None:
    path, content = tmp_path / "result.json", {"best": {"value": 91.61, "name": "ä"}, "front": [1, None, True]}
    write_sealed_json(path, content)
    assert read_sealed_json(path) == content
    assert list(json.loads(path.read_text())) == ["best", "front", "sha256"]
    for data in flips(path.read_bytes()):
        path.write_bytes(data)
        try:
            assert read_sealed_json(path) == content, "white space may change"
        except UnreadableFile:
            continue


def test_a_json_object_without_hash_is_of_an_earlier_revision(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"best": 1}')
    assert read_sealed_json(path, required=False) == {"best": 1}
    for text in ('{"best": 1}', "[1]", "null", '{"best": 2, "sha256": "ab"}', '{"best": 2, "sha256": null}'):
        path.write_text(text)
        with pytest.raises(UnreadableFile):
            read_sealed_json(path)
