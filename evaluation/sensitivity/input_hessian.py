r"""The largest eigenvalue of the Hessian of the cross-entropy with respect to the input.

It bounds the growth of the loss under small perturbations: Zhao et al., 2020, https://arxiv.org/abs/2005.00060. They
run a power iteration on the mean loss of a batch, whose Hessian is block-diagonal, so that its top eigenvalue is that
of the worst image divided by the batch size. Here every sample has its own eigenvalue.

A network of convolutions, ReLUs, average pools and normalisations in eval mode is piecewise linear, and then the
Hessian has no term but the Gauss-Newton one. With probabilities :math:`p` and rows :math:`J_i` of the Jacobian,

.. math:: H = J^T (\operatorname{diag} p - p p^T) J = F^T F, \qquad F_i = \sqrt{p_i} \, (J_i - \textstyle\sum_k p_k J_k)

whose non-zero eigenvalues are those of the ``C x C`` matrix :math:`F F^T`. The Hessian does not depend on the label.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.checks import check_batch, check_finite, check_positive
from evaluation.randomness import normal
from evaluation.sensitivity.jacobian import batches, class_basis, linearise, pull_back, sample_keys
from evaluation.sensitivity.lanczos import Eigenvalues, Product, lanczos

EXACT_CLASSES = 50
"""From here on the Jacobian's products are used: with initial weights they are slower at 20 classes and twice as fast
at 50 (``python -m benchmarks.sensitivity``)."""


def input_hessian_top(
    model: nn.Module,
    inputs: Float[Tensor, " batch *image"],
    labels: Int[Tensor, " batch"],
    *,
    method: Literal["gauss_newton", "power"] = "gauss_newton",
    iterations: int = 100,
    tolerance: float = 1e-4,
    exact_classes: int = EXACT_CLASSES,
    seed: int = 0,
    indices: Int[Tensor, " batch"] | None = None,
    batch_size: int = 100,
) -> Eigenvalues:
    """Largest eigenvalue per sample of the Hessian of the cross-entropy with respect to the input.

    The table's column ``hessian_input_top1`` is the mean over the images, which depends neither on the batch size nor
    on one worst image.

    Args:
        model: the network, as described in :mod:`evaluation.sensitivity`.
        inputs: batch of images.
        labels: class of every image.
        method: ``"gauss_newton"`` is exact for piecewise linear networks, as those of NAS-Bench-201 are, and positive
            semidefinite (an approximation) for others. ``"power"`` is a power iteration by double backward passes for
            any twice differentiable network: slower, slow to converge where eigenvalues lie close together, and without
            correct digits where the network is certain beyond the precision of its dtype.
        iterations: iterations of the power method (twice as many where the eigenvalue of largest magnitude is negative
            and the largest one has to be sought by a shift), or of Lanczos' method with many classes.
        tolerance: residual, relative to the eigenvalue, at which a sample's iteration ends.
        exact_classes: number of classes from which on ``"gauss_newton"`` iterates with products ``J v`` and ``v^T J``
            instead of computing ``J``.
        seed: seed of the start vectors of iterations.
        indices: the images' indices in their data set, which start vectors belong to; by default 0, 1, 2, ...
        batch_size: images at a time; does not change the values beyond rounding.

    Returns:
        Eigenvalues ``[batch]`` in nats per squared pixel unit, with residuals (zero where no iteration was needed).

    Raises:
        ValueError: if a setting is not positive or the method unknown, and for what
            :mod:`evaluation.checks` refuses.

    Example:
        >>> model = torch.nn.Linear(2, 2, bias=False).eval()
        >>> _ = torch.nn.init.eye_(model.weight)
        >>> input_hessian_top(model, torch.zeros(1, 2), torch.tensor([0])).values
        tensor([0.5000])
    """
    check_batch(model, inputs, labels)
    check_positive(iterations=iterations, tolerance=tolerance, exact_classes=exact_classes, batch_size=batch_size)
    if method not in ("gauss_newton", "power"):
        raise ValueError(f"method={method!r}; choose gauss_newton or power")
    all_keys = sample_keys(seed, "input_hessian", inputs, indices)
    parts = []
    for rows in batches(len(inputs), batch_size):
        leaf, logits = linearise(model, inputs[rows], labels[rows])
        if method == "power":
            start = normal(all_keys[rows], (leaf[0].numel(),)).to(leaf)
            product = double_backward(leaf, logits, labels[rows])
            parts.append(power_iteration(product, start, iterations=iterations, tolerance=tolerance))
        elif logits.shape[1] < exact_classes:
            values = gauss_newton_top(pull_back(leaf, logits, class_basis(logits)), logits)
            parts.append(Eigenvalues(values, torch.zeros_like(values), torch.ones_like(values, dtype=torch.bool)))
        else:
            found = lanczos(
                gauss_newton_product(leaf, logits),
                all_keys[rows],
                logits.shape[1],
                iterations=iterations,
                tolerance=tolerance,
                dtype=leaf.dtype,
            )
            parts.append(Eigenvalues(found.values[:, 0], found.residuals[:, 0], found.converged[:, 0]))
    return Eigenvalues(
        torch.cat([part.values for part in parts]),
        torch.cat([part.residuals for part in parts]),
        torch.cat([part.converged for part in parts]),
    )


def gauss_newton_top(
    jacobians: Float[Tensor, "batch classes pixels"], logits: Float[Tensor, "batch classes"]
) -> Float[Tensor, " batch"]:
    """Largest eigenvalue of ``J^T (diag p - p p^T) J`` by the ``C x C`` eigenproblem.

    Args:
        jacobians: ``J`` of every sample.
        logits: logits of the same samples.
    """
    factor = _centred(jacobians, logits.detach())
    return torch.linalg.eigvalsh(factor @ factor.transpose(1, 2))[:, -1].clamp_min(0.0)


def _centred(rows: Float[Tensor, "batch classes pixels"], logits: Tensor) -> Float[Tensor, "batch classes pixels"]:
    """``sqrt(p_i) (r_i - sum_k p_k r_k)``.

    The rows are taken relative to the most probable class first: its own distance from the mean, all but zero where the
    network is certain, would otherwise drown in rounding.
    """
    log_p = F.log_softmax(logits, dim=1)[:, :, None]
    top = logits.argmax(dim=1)[:, None, None].expand(-1, 1, rows.shape[2])
    relative = rows - rows.gather(1, top)
    return torch.exp(log_p / 2) * (relative - (log_p.exp() * relative).sum(dim=1, keepdim=True))


def gauss_newton_product(leaf: Float[Tensor, " batch *image"], logits: Float[Tensor, "batch classes"]) -> Product:
    """Products ``F F^T u`` in the space of the logits, without the Jacobian.

    ``v^T J`` is one backward pass. It is linear in ``v``, so ``J w`` is the derivative of ``<v^T J, w>`` with respect
    to ``v``: a second pass that differentiates no activation, on a graph built once.
    """
    fixed = logits.detach()
    if not logits.requires_grad:
        return torch.zeros_like
    carrier = torch.zeros_like(fixed, requires_grad=True)
    (pulled,) = torch.autograd.grad(logits, leaf, carrier, create_graph=True)
    root = torch.exp(F.log_softmax(fixed, dim=1) / 2)
    top = F.one_hot(fixed.argmax(dim=1), fixed.shape[1]).bool()

    def product(u: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        v = root * (u - root * (root * u).sum(dim=1, keepdim=True))
        v = v.masked_fill(top, 0.0)
        v = torch.where(top, -v.sum(dim=1, keepdim=True), v)  # F^T u sums to zero over the classes, free of rounding
        (w,) = torch.autograd.grad(logits, leaf, v, retain_graph=True)
        (pushed,) = torch.autograd.grad(pulled, carrier, w, retain_graph=True)
        return _centred(pushed[:, :, None], fixed)[:, :, 0]

    return product


def double_backward(
    leaf: Float[Tensor, " batch *image"], logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Product:
    """Products of each sample's input Hessian with a vector, by differentiating its gradient."""
    if not logits.requires_grad:
        return torch.zeros_like
    with torch.enable_grad():
        loss = F.cross_entropy(logits, labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)

    def product(v: Float[Tensor, "batch pixels"]) -> Float[Tensor, "batch pixels"]:
        return torch.autograd.grad(gradient, leaf, v.view_as(leaf), retain_graph=True)[0].flatten(1)

    return product


def power_iteration(
    product: Product, start: Float[Tensor, "batch size"], *, iterations: int, tolerance: float
) -> Eigenvalues:
    """Largest algebraic eigenvalue of one symmetric operator per row.

    The iteration ends at the eigenvalue of largest magnitude. Where that is negative, it is run again on the operator
    minus this eigenvalue, which makes the largest one dominant.
    """
    shift = torch.zeros_like(start[:, 0])
    found = _dominant(product, start, shift, iterations, tolerance)
    negative = found.values < 0
    if not bool(negative.any()):
        return found
    again = _dominant(product, start, found.values.clamp_max(0.0), iterations, tolerance)
    return Eigenvalues(
        torch.where(negative, again.values, found.values),
        torch.where(negative, again.residuals, found.residuals),
        torch.where(negative, again.converged, found.converged),
    )


def _dominant(
    product: Product, start: Float[Tensor, "batch size"], shift: Float[Tensor, " batch"], iterations: int, tol: float
) -> Eigenvalues:
    """Power iteration on ``H - shift I``; the eigenvalue of ``H``. A row that has converged is left as it is."""
    vector = F.normalize(start, dim=1)
    values = residuals = torch.zeros_like(shift)
    converged = torch.zeros_like(shift, dtype=torch.bool)
    for _ in range(iterations):
        image = product(vector) - shift[:, None] * vector
        check_finite("products with the Hessian", image, "its values overflow; try float64")
        value = (image * vector).sum(dim=1)
        residual = torch.linalg.vector_norm(image - value[:, None] * vector, dim=1)
        values, residuals = torch.where(converged, values, value), torch.where(converged, residuals, residual)
        converged = converged | (residual <= tol * value.abs())
        if bool(converged.all()):
            break
        vector = F.normalize(image, dim=1)
    return Eigenvalues(values + shift, residuals, converged)
