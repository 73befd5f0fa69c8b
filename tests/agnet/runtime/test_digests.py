"""Digests tell apart whatever differs, and what differs is said."""

import numpy as np
import pytest
import torch

from agnet.errors import UnreadableFile
from agnet.runtime.digests import differences, of_arrays, of_bytes, of_file, of_json
from agnet.runtime.paths import ROOT


def test_known_digest() -> None:
    assert (
        of_bytes(b"a", b"bc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, B.1


def test_files(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert of_file(tmp_path / "file") == of_bytes(b"abc")
    with pytest.raises(UnreadableFile, match="absent"):
        of_file(ROOT / "absent")


def test_arrays_are_told_apart_by_shape_type_and_value() -> None:
    x = np.arange(6, dtype=np.float32)
    variants = [x, x.reshape(2, 3), x.reshape(3, 2), x.astype(np.float64), x.view(np.int32), x + 1, x[:5]]
    digests = [of_arrays(v) for v in variants]
    assert len(set(digests)) == len(variants)
    assert digests == [of_arrays(torch.from_numpy(v)) for v in variants]
    assert of_arrays(x, x) != of_arrays(x)
    assert of_arrays(x.reshape(2, 3).T) == of_arrays(np.ascontiguousarray(x.reshape(2, 3).T))
    assert of_arrays(torch.zeros(2, dtype=torch.bfloat16)) != of_arrays(torch.zeros(2, dtype=torch.float16))
    assert of_arrays(torch.zeros(0, 3)) != of_arrays(torch.zeros(3, 0))


def test_differences_name_key_and_both_values() -> None:
    one, two = of_json(1), of_json(2)
    said = differences({"a": {"b": 1, "t": one}, "x": 1}, {"a": {"b": 1, "t": two}, "y": {}})
    assert said == (
        f"a.t is {one[:12]}... there and {two[:12]}... here; x is 1 there and '(absent)' here; "
        "y is '(absent)' there and {} here"
    )
    assert differences({"a": [1]}, {"a": [1]}) == ""
