"""Damage to a file: what disks, copies and hands do to it.

Places are fractions of a file's length, not bytes: two runs of a campaign do the same, though a file may differ by a
few bytes, e.g. in a date.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LONGEST_BURST = 64


@dataclass(frozen=True)
class Damage:
    """One damage to one file.

    Attributes:
        kind: a key of :data:`BINARY` or :data:`TEXT`, or one of :data:`WHOLE`.
        where: place in the file, a fraction of its length.
        amount: how much, a fraction too.
    """

    kind: str
    where: float = 0.0
    amount: float = 0.0

    def __str__(self) -> str:
        return self.kind if self.kind in WHOLE else f"{self.kind} at {self.where:.9f} ({self.amount:.6f})"

    def apply(self, path: Path, other: Path | None) -> None:
        """Damage a file. A damage that would leave it as it is, such as two equal lines swapped, flips a bit instead.

        Args:
            path: the file.
            other: a file of the same kind from another run; needed to replace the file.
        """
        if self.kind == "deleted":
            path.unlink()
            return
        data = path.read_bytes()
        if self.kind == "emptied":
            changed = b""
        elif self.kind == "replaced":
            assert other is not None
            changed = other.read_bytes()
        else:
            changed = {**BINARY, **TEXT}[self.kind](data, self.where, self.amount)
            if changed == data:
                changed = _flip(data, self.where, self.amount)
        path.write_bytes(changed)


def _place(data: bytes, where: float) -> int:
    return min(int(where * len(data)), max(len(data) - 1, 0))


def _flip(data: bytes, where: float, amount: float) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    changed[_place(data, where)] ^= 1 << int(amount * 8)
    return bytes(changed)


def _burst(data: bytes, where: float, amount: float) -> bytes:
    """Some bytes in a row become others."""
    begin, length = _place(data, where), 2 + int(amount * _LONGEST_BURST)
    noise = random.Random(f"{where} {amount}").randbytes(length)
    return data[:begin] + noise[: len(data) - begin] + data[begin + length :]


def _cut(data: bytes, where: float, amount: float) -> bytes:
    return data[: _place(data, where)]


def _zeros(data: bytes, where: float, amount: float) -> bytes:
    """A block or the rest of the file becomes zeros, as after a crash of the machine."""
    begin = _place(data, where)
    length = len(data) - begin if amount > 0.5 else min(int(amount * 8192) + 1, len(data) - begin)
    return data[:begin] + bytes(length) + data[begin + length :]


def _appended(data: bytes, where: float, amount: float) -> bytes:
    noise = random.Random(f"{where} {amount}").randbytes(1 + int(where * 100))
    return data + (noise if amount > 0.3 else data[-len(noise) :])


def _lines(data: bytes, where: float) -> tuple[list[bytes], int]:
    lines = data.splitlines(keepends=True)
    return lines, min(int(where * len(lines)), max(len(lines) - 1, 0))


def _swapped(data: bytes, where: float, amount: float) -> bytes:
    lines, first = _lines(data, where)
    if not lines:
        return data
    second = int(amount * len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def _duplicated(data: bytes, where: float, amount: float) -> bytes:
    lines, at = _lines(data, where)
    return b"".join([*lines[: at + 1], *lines[at:]])


def _deleted_line(data: bytes, where: float, amount: float) -> bytes:
    lines, at = _lines(data, where)
    return b"".join([*lines[:at], *lines[at + 1 :]])


def _digit(data: bytes, where: float, amount: float) -> bytes:
    """A digit becomes another digit."""
    places = [i for i, byte in enumerate(data) if byte in b"0123456789"]
    if not places:
        return data
    changed = bytearray(data)
    at = places[int(where * len(places))]
    changed[at] = ord("0") + (changed[at] - ord("0") + 1 + int(amount * 9)) % 10
    return bytes(changed)


Change = Callable[[bytes, float, float], bytes]

BINARY: dict[str, Change] = {
    "bit flip": _flip,
    "burst": _burst,
    "truncation": _cut,
    "zero fill": _zeros,
    "appended bytes": _appended,
}
TEXT: dict[str, Change] = {
    "swapped lines": _swapped,
    "duplicated line": _duplicated,
    "deleted line": _deleted_line,
    "edited digit": _digit,
}
WHOLE = ("emptied", "deleted", "replaced")

_TEXT_FILES = (".json", ".jsonl", ".yaml", ".csv", ".md")


def draw(rng: random.Random, path: str, *, replaceable: bool) -> Damage:
    """A damage that suits a file's name.

    Args:
        rng: draws kind and place.
        path: the file.
        replaceable: whether there is a file of another run to replace it with.
    """
    kinds = [*BINARY, *(TEXT if path.endswith(_TEXT_FILES) else ())] * 4 + ["bit flip"] * 8
    kinds += [*WHOLE[:2], *(WHOLE[2:] if replaceable else ())]
    return Damage(rng.choice(kinds), rng.random(), rng.random())
