import io
import os
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agnet.runtime.unpickling import ARRAYS, CONTAINERS, RefusedPickle, RestrictedUnpickler

EVERYTHING = {**ARRAYS, **CONTAINERS}


class Malicious:
    """Runs a command where an unpickler lets it."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.arguments


def load(data: bytes, **settings: Any) -> Any:
    return RestrictedUnpickler(io.BytesIO(data), **settings).load()


@pytest.mark.parametrize("protocol", range(6))
def test_data_comes_back_as_it_was(protocol: int) -> None:
    content = {"a": [1, 2.5, None, True, ("x", 3)], "b": b"\xe9", "c": np.float64(0.1), "d": np.arange(6).reshape(2, 3)}
    found = load(pickle.dumps(content, protocol=protocol))
    assert np.array_equal(found.pop("d"), content.pop("d"))  # pyright: ignore[reportArgumentType]
    assert found == content
    assert type(found["c"]) is np.float64


@pytest.mark.parametrize("protocol", range(6))
def test_containers_with_names_are_allowed_where_asked(protocol: int) -> None:
    data = pickle.dumps(OrderedDict(b=1, a={1, 2}), protocol=protocol)
    found = load(data, allowed=EVERYTHING)
    assert type(found) is OrderedDict
    assert list(found.items()) == [("b", 1), ("a", {1, 2})]
    with pytest.raises(RefusedPickle, match=r"collections\.OrderedDict"):
        load(data)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("call", [os.system, eval, getattr, np.load, io.open, defaultdict], ids=lambda f: f.__name__)
def test_no_code_is_run(tmp_path: Path, call: Callable[..., Any], protocol: int) -> None:
    trace = tmp_path / "trace"
    data = pickle.dumps({"data": Malicious(call, f"touch {trace}")}, protocol=protocol)
    with pytest.raises(RefusedPickle, match="it wants to call"):
        load(data, allowed=EVERYTHING)
    assert not trace.exists()


def test_no_attribute_of_something_allowed_is_reached() -> None:
    """From protocol 4 on a name may hold dots."""
    with pytest.raises(RefusedPickle, match=r"collections\.OrderedDict\.fromkeys"):
        load(b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.", allowed=EVERYTHING)


def test_only_latin1_is_encoded() -> None:
    """``codecs.encode`` is among the allowed names, as Python 3 writes byte strings for Python 2 with it."""
    assert load(pickle.dumps(b"\xe9x", protocol=2)) == b"\xe9x"
    with pytest.raises(pickle.UnpicklingError, match=r"codecs\.encode to 'rot13'"):
        load(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R.")


def test_nothing_outside_the_file_is_followed() -> None:
    with pytest.raises(pickle.UnpicklingError, match="outside the file"):
        load(b"\x80\x02X\x01\x00\x00\x00aQ.")


def test_pickles_may_follow_each_other() -> None:
    file = io.BytesIO(pickle.dumps([1]) + pickle.dumps("two") + b"rest")
    assert [RestrictedUnpickler(file).load() for _ in range(2)] == [[1], "two"]
    assert file.read() == b"rest"


def test_truncation_is_no_refusal() -> None:
    with pytest.raises((pickle.UnpicklingError, EOFError)) as caught:
        load(pickle.dumps(list(range(1000)))[:-5])
    assert not isinstance(caught.value, RefusedPickle)
