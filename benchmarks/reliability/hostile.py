"""Contents of hostile files: pickles, bombs, texts. Whatever runs in one of them leaves the canary's file."""

import bz2
import gzip
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

CANARY = "EXECUTED"
"""Name of the file that a payload makes in the current folder, wherever it runs."""

_CODE = f"open({CANARY!r}, 'w').close()"


class Payload:
    """An object whose pickle calls a function.

    Args:
        function: the function.
        arguments: its arguments.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def payloads() -> dict[str, Payload]:
    """Pickles that make the canary's file, by what they call."""
    from agnet.runtime.files import write_text

    return {
        "os.system": Payload(os.system, f"touch {CANARY}"),
        "exec": Payload(exec, _CODE),
        "own write_text": Payload(write_text, Path(CANARY), "x"),
    }


def torch_saved(value: Any) -> bytes:
    """The content of a file of ``torch.save``."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def legacy_torch_saved(value: Any) -> bytes:
    """The same in the format before PyTorch 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def npy(value: Any) -> bytes:
    """An ``.npy`` file that holds one object."""
    array, buffer = np.empty(1, object), io.BytesIO()
    array[0] = value
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz(**members: bytes) -> bytes:
    """An ``.npz`` file of raw members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def array_header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """The header of an ``.npy`` file without its values."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zip_bomb(name: str, size: int) -> bytes:
    """An archive of one member of zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w", force_zip64=True) as member:
            member.write(array_header((size,)))
            for _ in range(size // 2**24):
                member.write(bytes(2**24))
    return buffer.getvalue()


def gzip_bomb(size: int) -> bytes:
    """Spaces, packed: gzip files one after another are one."""
    return gzip.compress(b" " * 2**24, 1) * (size // 2**24)


def bz2_bomb(size: int) -> bytes:
    """Zeros, packed."""
    return bz2.compress(bytes(2**24)) * (size // 2**24)


def deep_json(depth: int = 100_000) -> bytes:
    """Lists in lists."""
    return b"[" * depth + b"]" * depth


def deep_object(depth: int = 100_000) -> bytes:
    """Objects in objects."""
    return b'{"a":' * depth + b"1" + b"}" * depth


def endless_pickle() -> bytes:
    """A pickle that claims a text of 4 GB, and one that doubles a tuple again and again."""
    return pickle.PROTO + b"\x02" + pickle.BINUNICODE + b"\xff\xff\xff\x7f" + b"a"


def doubling_pickle(times: int = 60) -> bytes:
    """A pickle of a tuple of tuples of ..., each twice the one before, shared in memory."""
    body = b"".join(pickle.BINPUT + bytes([i]) + pickle.BINGET + bytes([i]) + pickle.TUPLE2 for i in range(times))
    return pickle.PROTO + b"\x02" + pickle.EMPTY_TUPLE + body + pickle.STOP


def yaml_bombs() -> dict[str, str]:
    """YAML that is small and is not."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return {
        "alias bomb": "\n".join(lines),
        "alias to itself": "a: &a [*a]",
        "merge bomb": "base: &b {x: 1}\nuse:\n  <<: *b",
        "python object tag": f"!!python/object/apply:os.system ['touch {CANARY}']",
        "python name tag": "a: !!python/name:os.system",
        "python new tag": f"a: !!python/object/new:os.system [touch {CANARY}]",
        "python module tag": "a: !!python/module:antigravity",
        "own tag": "a: !include /etc/passwd",
        "environment": "a: ${oc.env:HOME}",
        "decoded": "a: ${oc.decode:'[1,2]'}",
        "interpolation of itself": "a: ${a}",
        "interpolations in a circle": "a: ${b}\nb: ${a}",
        "nested lists": "a: " + "[" * 5000 + "]" * 5000,
        "nested keys": "{a: " * 3000 + "1" + "}" * 3000,
        "many entries": "\n".join(f"k{i}: {i}" for i in range(200_000)),
        "a document of 3 MB": "a: " + "x" * 3_000_000,
        "control characters": "a: \x01\x02",
        "two documents": "a: 1\n---\nb: 2",
        "a list": "- 1\n- 2",
        "a number of many digits": "seed: " + "9" * 5000,
    }


GENOTYPES = {
    "huge range": "Genotype(normal=range(2, 300000000), normal_concat=range(2, 300000000), reduce=[], reduce_concat=[])",
    "huge step": "Genotype(normal=[], normal_concat=range(0, 10**30, 1), reduce=[], reduce_concat=range(2, 6))",
    "power": "Genotype(normal=9**9**9**9, normal_concat=[2, 3, 4, 5], reduce=[], reduce_concat=[2, 3, 4, 5])",
    "repeated list": "Genotype(normal=[0] * 10**10, normal_concat=[2], reduce=[], reduce_concat=[2])",
    "import": f"Genotype(normal=__import__('os').system('touch {CANARY}'), normal_concat=[2], reduce=[], reduce_concat=[2])",
    "comprehension": "Genotype(normal=[i for i in range(10**12)], normal_concat=[2], reduce=[], reduce_concat=[2])",
    "nested brackets": f"Genotype(normal={'[' * 3000}{']' * 3000}, normal_concat=[2], reduce=[], reduce_concat=[2])",
    "nested signs": f"Genotype(normal={'-' * 5000}1, normal_concat=[2], reduce=[], reduce_concat=[2])",
    "long text": "Genotype(" + "a" * 10**7 + ")",
    "many digits": f"Genotype(normal={'9' * 9000}, normal_concat=[2], reduce=[], reduce_concat=[2])",
}

NAMES = {
    "parent": "../ESCAPED",
    "grandparent": "../../ESCAPED",
    "hidden parent": "a/../../ESCAPED",
    "absolute": "/tmp/agnet-ESCAPED",
    "subfolder": "a/b",
    "two dots": "..",
    "one dot": ".",
    "nothing": "",
    "zero byte": "a\0b",
    "backslashes": "..\\ESCAPED",
    "home": "~/ESCAPED",
    "line break": "a\nb",
    "very long": "x" * 5000,
    "script": "<script>alert(1)</script>",
    "formula": "=HYPERLINK('http://x')",
    "shell": f"$(touch {CANARY})",
    "escape codes": "\x1b]0;x\x07",
}
"""Names that a file could bring along for things that become files, cells of tables, or parts of a page."""


def manifest(name: str, entry: dict[str, Any]) -> str:
    """A manifest with one entry."""
    return json.dumps({name: entry})
