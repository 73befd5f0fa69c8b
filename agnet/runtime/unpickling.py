"""Read foreign pickles without running their code.

A pickle may name any function of any installed package and call it. :class:`RestrictedUnpickler` knows the few
names that arrays, numbers, text and containers need, and refuses any other name before anything is called.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

Globals = Mapping[tuple[str, str], Callable[..., Any]]
"""The callable for each name ``(module, name)`` of a pickle."""


def _latin1(text: str, encoding: str) -> bytes:
    """Python 2 byte strings arrive as ``codecs.encode(text, "latin1")``; no other codec is allowed."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickle(f"codecs.encode to {encoding!r}")
    return text.encode("latin1")


_ARRAY: Any = np.empty(1)
_NUMBER: Any = np.float64(0)

ARRAYS: Globals = MappingProxyType(
    {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
        # numpy moved these between versions; the functions themselves are taken from an array's own pickle
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _ARRAY.__reduce__()[0] for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): _ARRAY.__reduce_ex__(5)[0] for core in ("core", "_core")},
        **{(f"numpy.{core}.multiarray", "scalar"): _NUMBER.__reduce__()[0] for core in ("core", "_core")},
    }
)
"""Callables in the pickles of arrays and numpy numbers. Lists, tuples and plain dictionaries need none."""

CONTAINERS: Globals = MappingProxyType(
    {("collections", "OrderedDict"): OrderedDict, ("builtins", "set"): set, ("__builtin__", "set"): set}
)
"""Containers that a pickle writes by name (sets only up to protocol 3)."""


class RefusedPickle(pickle.UnpicklingError):
    """A pickle that asks for more than data."""


class RestrictedUnpickler(pickle.Unpickler):
    """Rebuilds objects from allowed names; refuses every other name and every outside reference.

    Byte strings of Python 2 become text.

    Args:
        file: an open binary file, which may hold several pickles one after another.
        allowed: names that a pickle may call.

    Raises:
        RefusedPickle: if a pickle needs another name, which the message gives; a damaged pickle can raise almost
            anything else.

    Example:
        >>> import io
        >>> RestrictedUnpickler(io.BytesIO(pickle.dumps({"data": [1, 2.5]}))).load()
        {'data': [1, 2.5]}
        >>> RestrictedUnpickler(io.BytesIO(pickle.dumps(print))).load()
        Traceback (most recent call last):
        ...
        agnet.runtime.unpickling.RefusedPickle: it wants to call builtins.print
    """

    def __init__(self, file: BufferedIOBase, allowed: Globals = ARRAYS) -> None:
        super().__init__(file, encoding="latin1")
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """The callable of an allowed name."""
        if (module, name) not in self._allowed:
            raise RefusedPickle(f"it wants to call {module}.{name}")
        return self._allowed[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse references to objects outside the file."""
        raise RefusedPickle("it refers to something outside the file")
