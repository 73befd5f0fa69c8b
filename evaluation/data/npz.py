"""Read ``.npz`` files that may be damaged or hostile: no objects, and no more memory than the file warrants."""

import math
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from agnet.errors import ConfigurationError

_ROOM = 2**30
_PACKED = 200  # times that images pack into less; a file of zeros packs into a thousandth


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` file.

    Args:
        path: the file.
        names: read only these, where they are there; all by default.

    Raises:
        ConfigurationError: if it is missing or damaged, holds objects, or unpacks to much more than its size.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; give an .npz")
    try:
        with path.open("rb") as file, ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            members = {name: info for name, info in members.items() if names is None or name in names}
            size = sum(info.file_size for info in members.values())
            if size > max(_ROOM, _PACKED * path.stat().st_size):
                raise _unreadable(path, f"its {path.stat().st_size} bytes unpack to {size}")
            return {name: _array(path, archive, info) for name, info in members.items()}
    except ConfigurationError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own
        said = " ".join(str(error).split())[:120] or type(error).__name__
        if "allow" in said:  # numpy's advice to trust the file
            said = "its header is no array's"
        raise _unreadable(path, said) from error


def _array(path: Path, archive: ZipFile, info: ZipInfo) -> np.ndarray:
    """One array, whose header must agree with its size."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise _unreadable(path, f"{info.filename} holds Python objects")
        if size != info.file_size - member.tell():
            raise _unreadable(path, f"{info.filename} claims {size} bytes of {info.file_size}")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _unreadable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be read ({reason}); write it with numpy.savez, without objects")
