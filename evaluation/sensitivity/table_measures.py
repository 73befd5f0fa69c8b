"""The three measures of a network that a robustness table has as columns."""

import logging

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.checks import check_batch, check_positive
from evaluation.sensitivity.input_hessian import gauss_newton_top, input_hessian_top
from evaluation.sensitivity.jacobian import batches, class_basis, jacobian_norm, linearise, norm_along, pull_back
from evaluation.sensitivity.weight_hessian import weight_hessian_top

logger = logging.getLogger(__name__)

MEASURES = ("jacobian_frobenius", "hessian_input_top1", "hessian_weight_top1")
"""What :func:`sensitivity` finds, in its order."""


def sensitivity(
    model: nn.Module,
    inputs: Float[Tensor, " batch *image"],
    labels: Int[Tensor, " batch"],
    *,
    seed: int,
    projections: int | None = None,
    iterations: int = 50,
    tolerance: float = 1e-4,
    batch_size: int = 100,
) -> dict[str, float]:
    """Jacobian norm, top input curvature and top weight curvature of one piecewise linear network.

    The exact Jacobian is computed once and serves the first two columns. A number that has not converged is logged as a
    warning.

    Args:
        model: the network, as described in :mod:`evaluation.sensitivity`.
        inputs: batch of images.
        labels: class of every image.
        seed: seed of projections and start vectors.
        projections: None for the exact Jacobian, whatever the number of classes; a number for the estimated norm, and
            for a curvature without the Jacobian from :data:`~evaluation.sensitivity.input_hessian.EXACT_CLASSES`
            classes on. See :func:`~evaluation.sensitivity.jacobian.jacobian_norm`.
        iterations: products at most in an iteration.
        tolerance: relative residual at which an iteration ends.
        batch_size: images at a time; does not change the values beyond rounding.

    Returns:
        ``jacobian_frobenius``, the root of the mean squared norm over the images; ``hessian_input_top1``, the mean of
        the images' largest eigenvalues; ``hessian_weight_top1``, the largest eigenvalue for the mean loss.

    Raises:
        ValueError: if a setting is not positive, and for what :mod:`evaluation.checks` refuses.
    """
    check_batch(model, inputs, labels)
    check_positive(batch_size=batch_size)
    if projections is None:
        norms, curvatures = _shared(model, inputs, labels, batch_size)
    else:
        norms = jacobian_norm(model, inputs, projections=projections, seed=seed, batch_size=batch_size)
        found = input_hessian_top(
            model, inputs, labels, iterations=iterations, tolerance=tolerance, seed=seed, batch_size=batch_size
        )
        curvatures = found.values
        _warn("hessian_input_top1", found.converged, iterations)
    weights = weight_hessian_top(
        model, inputs, labels, iterations=iterations, tolerance=tolerance, seed=seed, batch_size=batch_size
    )
    _warn("hessian_weight_top1", weights.converged, iterations)
    return {
        "jacobian_frobenius": float(norms.double().square().mean().sqrt()),
        "hessian_input_top1": float(curvatures.double().mean()),
        "hessian_weight_top1": float(weights.values[0]),
    }


def _shared(
    model: nn.Module, inputs: Tensor, labels: Tensor, batch_size: int
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Exact norms and top curvatures of every image from one Jacobian."""
    norms, curvatures = [], []
    for rows in batches(len(inputs), batch_size):
        leaf, logits = linearise(model, inputs[rows], labels[rows])
        basis = class_basis(logits)
        jacobians = pull_back(leaf, logits, basis)
        norms.append(norm_along(jacobians, basis))
        curvatures.append(gauss_newton_top(jacobians, logits))
    return torch.cat(norms), torch.cat(curvatures)


def _warn(column: str, converged: Tensor, iterations: int) -> None:
    if not bool(converged.all()):
        missed = int((~converged).sum())
        logger.warning(
            "%s: %d of %d eigenvalues did not converge in %d iterations; give more iterations or a larger tolerance",
            column, missed, converged.numel(), iterations,
        )  # fmt: skip
