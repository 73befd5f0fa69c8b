"""The largest eigenvalues of symmetric operators known by their products, many operators at a time.

Source: Lanczos, 1950, with full reorthogonalisation (Golub & Van Loan, 2013, Matrix Computations, section 10.3).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from evaluation.checks import check_finite, check_positive
from evaluation.randomness import normal

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Eigenvalues:
    """Eigenvalues with their residuals.

    Attributes:
        values: estimates of the eigenvalues.
        residuals: ``||H v - value v||`` of the unit vectors behind them; an eigenvalue lies within this distance.
        converged: whether the residual is within the tolerance.
    """

    values: Float[Tensor, "*shape"]
    residuals: Float[Tensor, "*shape"]
    converged: Bool[Tensor, "*shape"]


def lanczos(
    product: Product,
    keys: Int[Tensor, " batch"],
    size: int,
    *,
    k: int = 1,
    iterations: int = 50,
    tolerance: float = 1e-4,
    dtype: torch.dtype = torch.float64,
) -> Eigenvalues:
    """The ``k`` largest (algebraic) eigenvalues of one symmetric operator per key.

    Each operator stops at its own convergence, whatever the others of the batch do. Where the Krylov space is exhausted
    the iteration goes on with a new random vector. From one start vector only one copy of a multiple eigenvalue is
    found while others converge, so with ``k > 1`` an eigenvalue may be returned once although it is multiple.

    Args:
        product: maps ``[batch, size]`` to the operators' products with it.
        keys: keys of the start vectors, on the device of the vectors.
        size: dimension of the operators.
        k: number of eigenvalues, at most ``size``.
        iterations: products at most, at least ``k``; also the basis vectors held in memory.
        tolerance: residual relative to the largest magnitude found; an isolated eigenvalue's error is about its square.
        dtype: data type of the vectors.

    Returns:
        Eigenvalues ``[batch, k]`` in decreasing order.

    Raises:
        ValueError: if ``1 <= k <= min(size, iterations)`` does not hold, the tolerance is not positive, or a product is
            not finite.
    """
    check_positive(iterations=iterations, tolerance=tolerance)
    steps = min(iterations, size)
    if not 1 <= k <= steps:
        raise ValueError(f"k={k} eigenvalues in {iterations=} of an operator of {size=}; choose 1 <= k <= both")
    basis = torch.zeros(len(keys), steps, size, dtype=dtype, device=keys.device)
    projected = torch.zeros(len(keys), steps, steps, dtype=torch.float64, device=keys.device)
    values = residuals = projected.new_zeros(len(keys), k)
    converged = torch.zeros(len(keys), k, dtype=torch.bool, device=keys.device)
    vector = _unit(normal(keys, (size,)).to(dtype))
    for step in range(steps):
        basis[:, step] = vector
        image = product(vector)
        check_finite("products with the operator", image, "its values overflow; try float64")
        projected[:, step, step] = (image * vector).sum(dim=1).double()
        known = basis[:, : step + 1]
        image = _orthogonal(image, known)
        beta = torch.linalg.vector_norm(image, dim=1).double()
        ritz, vectors = torch.linalg.eigh(projected[:, : step + 1, : step + 1])
        scale = ritz.abs().amax(dim=1, keepdim=True)
        if step + 1 >= k:
            going = ~converged.all(dim=1, keepdim=True)
            error = (beta[:, None] * vectors[:, -1, -k:].abs()).flip(1)
            values = torch.where(going, ritz[:, -k:].flip(1), values)
            residuals = torch.where(going, error, residuals)
            converged = torch.where(going, error <= tolerance * scale, converged)
            if bool(converged.all()):
                break
        if step + 1 < steps:
            exhausted = beta[:, None] <= torch.finfo(dtype).eps * scale
            projected[:, step, step + 1] = projected[:, step + 1, step] = beta.masked_fill(exhausted[:, 0], 0.0)
            if bool(exhausted.any()):
                another = normal(keys, (size,), stream=step + 1).to(dtype)
                image = torch.where(exhausted, _orthogonal(another, known), image)
            vector = _unit(image)
    return Eigenvalues(values.to(dtype), residuals.to(dtype), converged)


def _unit(vectors: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
    return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)


def _orthogonal(
    vectors: Float[Tensor, "batch size"], basis: Float[Tensor, "batch known size"]
) -> Float[Tensor, "batch size"]:
    """What is left of the vectors outside the span of the basis; the second pass removes the first one's rounding."""
    for _ in range(2):
        vectors = vectors - torch.einsum("bks,bk->bs", basis, torch.einsum("bks,bs->bk", basis, vectors))
    return vectors
