"""What an optimizer has observed: values and slacks of the architectures evaluated so far."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Outcomes:
    """Evaluations as an optimizer sees them: no names, no units, no directions.

    Attributes:
        values: one column per objective, all to be maximised.
        slacks: one column per limit: distance of a measurement to the limit, as a fraction of it. 0.1 is ten percent
            below an upper bound, -0.1 ten percent above it. A limit is satisfied if its slack is not negative.
    """

    values: Float[Tensor, "n objectives"]
    slacks: Float[Tensor, "n limits"]

    @classmethod
    def unlimited(cls, values: Float[Tensor, "n objectives"]) -> "Outcomes":
        """Outcomes of a search without limits."""
        return cls(values, values.new_zeros(len(values), 0))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        _, objectives = self.values.shape
        return f"Outcomes(architectures: {len(self)}, objectives: {objectives}, limits: {self.slacks.shape[1]})"

    def __getitem__(self, rows: slice | Tensor) -> "Outcomes":
        return Outcomes(self.values[rows], self.slacks[rows])

    @property
    def feasible(self) -> Bool[Tensor, " n"]:
        """Whether each row satisfies all limits."""
        return (self.slacks >= 0).all(dim=1)

    @property
    def violations(self) -> Float[Tensor, " n"]:
        """Sum of a row's negative slacks, as a positive number; 0 for a feasible row."""
        return (-self.slacks).clamp(min=0).sum(dim=1)

    def tamed(self) -> "Outcomes":
        """The same, with every column for which single precision has no room multiplied by a power of two.

        Comparisons within a column are the same, and columns of ordinary values are the same to the bit.
        """
        return Outcomes(_tamed(self.values), _tamed(self.slacks))

    def untamed(self, like: "Outcomes") -> "Outcomes":
        """Rows on the scale of ``like.tamed()`` on the scale of ``like``, within the range of numbers."""
        return Outcomes(_untamed(self.values, like.values), _untamed(self.slacks, like.slacks))


LARGEST = 1e30
"""Largest magnitude that models in single precision are given; they square differences at most once."""


def _exponents(columns: Float[Tensor, "n columns"]) -> Int[Tensor, " columns"] | None:
    """Exponents of the columns that are too large or too small, 0 for the others; None if all are ordinary."""
    if not columns.numel():
        return None
    largest = columns.double().abs().amax(dim=0)
    odd = (largest > LARGEST) | ((largest > 0) & (largest < 1 / LARGEST))
    return torch.where(odd, torch.frexp(largest).exponent, 0) if bool(odd.any()) else None


def _scaled(columns: Float[Tensor, "n columns"], exponents: Int[Tensor, " columns"]) -> Float[Tensor, "n columns"]:
    first = exponents // 2  # in two steps, since the inverse of the largest number is none
    return columns * 2.0 ** first.double() * 2.0 ** (exponents - first).double()


def _tamed(columns: Float[Tensor, "n columns"]) -> Float[Tensor, "n columns"]:
    exponents = _exponents(columns)
    return columns if exponents is None else _scaled(columns, -exponents)


def _untamed(columns: Float[Tensor, "n columns"], like: Float[Tensor, "m columns"]) -> Float[Tensor, "n columns"]:
    exponents = _exponents(like)
    if exponents is None:
        return columns
    largest = torch.finfo(torch.float64).max
    return _scaled(columns.double(), exponents).clamp(min=-largest, max=largest)


class Archive(Collection[str]):
    """Everything an optimizer has observed, in order; the part of the state that all optimizers share."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Archive(architectures: {len(self)})"

    def __contains__(self, architecture: object) -> bool:
        return architecture in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    @property
    def architectures(self) -> list[str]:
        """Architectures in the order in which they were observed."""
        return list(self._rows)

    @property
    def outcomes(self) -> Outcomes:
        """Observed outcomes, row by row, float64; without columns before the first observation."""
        rows = self._rows.values()
        return Outcomes(_table([values for values, _ in rows]), _table([slacks for _, slacks in rows]))

    def add(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Add outcomes; they replace earlier ones of the same architecture."""
        rows = zip(map(tuple, outcomes.values.tolist()), map(tuple, outcomes.slacks.tolist()), strict=True)
        self._rows.update(zip(architectures, rows, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The archive as strings and tensors."""
        outcomes = self.outcomes
        return {"architectures": self.architectures, "values": outcomes.values, "slacks": outcomes.slacks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the archive of :meth:`state_dict`."""
        self._rows = {}
        self.add(state["architectures"], Outcomes(state["values"], state["slacks"]))


def _table(rows: Sequence[tuple[float, ...]]) -> Float[Tensor, "n columns"]:
    return torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(len(rows), len(rows[0]) if rows else 0)
