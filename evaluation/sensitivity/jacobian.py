"""The Jacobian of the logits with respect to the input, and its Frobenius norm.

Source of the estimator: Hoffman, Roberts & Yaida, 2019, https://arxiv.org/abs/1908.02729, section 2.3. Their
regulariser is half the squared norm averaged over the batch; here the norm itself is returned, per sample.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from evaluation.checks import check_batch, check_logits, check_positive
from evaluation.randomness import keys, normal


def batches(size: int, batch_size: int) -> Iterator[slice]:
    """Rows of each batch in turn."""
    for first in range(0, size, batch_size):
        yield slice(first, min(first + batch_size, size))


def sample_keys(
    seed: int, name: str, inputs: Float[Tensor, " batch *image"], indices: Int[Tensor, " batch"] | None
) -> Int[Tensor, " batch"]:
    """One key per sample, which belongs to the sample's index and not to its place in a batch."""
    if indices is None:
        indices = torch.arange(len(inputs))
    return keys(seed, name, indices.to(inputs.device))


def linearise(
    model: nn.Module, inputs: Float[Tensor, " batch *image"], labels: Int[Tensor, " batch"] | None = None
) -> tuple[Float[Tensor, " batch *image"], Float[Tensor, "batch classes"]]:
    """Inputs as a leaf and the logits as a function of it alone: no graph reaches the parameters.

    Raises:
        ValueError: if the logits cannot be used; see :func:`~evaluation.checks.check_logits`.
    """
    leaf = inputs.detach().requires_grad_()
    fixed = {name: parameter.detach() for name, parameter in model.named_parameters()}
    with torch.enable_grad():
        logits = functional_call(model, fixed, (leaf,))
    check_logits(logits, inputs, labels)
    return leaf, logits


def pull_back(
    leaf: Float[Tensor, " batch *image"],
    logits: Float[Tensor, "batch classes"],
    directions: Float[Tensor, "batch directions classes"],
    *,
    vectorised: bool | None = None,
) -> Float[Tensor, "batch directions pixels"]:
    """``v^T J`` for every direction ``v``: one graph, one backward pass per direction, which serves all samples.

    Args:
        leaf: inputs that the logits were computed from; see :func:`linearise`.
        logits: logits of those inputs.
        directions: vectors to multiply by.
        vectorised: all directions in one batched pass, which needs their memory at once. On a CPU the loop is as fast
            or faster (``python -m benchmarks.sensitivity``), so that by default only a GPU takes the batched pass.

    Returns:
        Products, each flattened over the input's dimensions; zero where the logits do not depend on the input, as in a
        network whose cells let nothing through.
    """
    count = directions.shape[1]
    if not logits.requires_grad:
        return leaf.new_zeros(len(leaf), count, leaf[0].numel())
    if leaf.is_cuda if vectorised is None else vectorised:
        (rows,) = torch.autograd.grad(
            logits, leaf, directions.transpose(0, 1), retain_graph=True, is_grads_batched=True
        )
        return rows.transpose(0, 1).flatten(2)
    rows = [torch.autograd.grad(logits, leaf, v, retain_graph=True)[0].flatten(1) for v in directions.unbind(1)]
    return torch.stack(rows, dim=1)


def class_basis(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes classes"]:
    """The unit vectors of the logits' space as directions for every sample."""
    classes = logits.shape[1]
    return torch.eye(classes, dtype=logits.dtype, device=logits.device).expand(len(logits), -1, -1)


def random_directions(
    sample_keys: Int[Tensor, " batch"], count: int, logits: Float[Tensor, "batch classes"]
) -> Float[Tensor, "batch count classes"]:
    """Independent directions, uniform on the unit sphere of the logits' space."""
    return torch.nn.functional.normalize(normal(sample_keys, (count, logits.shape[1])).to(logits), dim=2)


def norm_along(
    rows: Float[Tensor, "batch directions pixels"], directions: Float[Tensor, "batch directions classes"]
) -> Float[Tensor, " batch"]:
    r"""Frobenius norm from products with unit vectors.

    .. math:: \|J\|_F^2 = C \, \mathbb{E}_v \|v^T J\|^2

    The mean is taken over the given directions: exact for a basis, unbiased (the square) for random directions.
    """
    return torch.sqrt(directions.shape[2] * rows.square().sum(dim=2).mean(dim=1))


def jacobian(model: nn.Module, inputs: Float[Tensor, " batch *image"]) -> Float[Tensor, "batch classes pixels"]:
    """Derivatives of every logit of a sample with respect to its input, by one backward pass per class.

    Args:
        model: the network, as described in :mod:`evaluation.sensitivity`.
        inputs: all of them at once; the result holds ``C * D`` numbers per sample.

    Returns:
        Jacobians, flattened over the input's dimensions; detached.

    Raises:
        ValueError: for what :mod:`evaluation.checks` refuses.
    """
    check_batch(model, inputs)
    leaf, logits = linearise(model, inputs)
    return pull_back(leaf, logits, class_basis(logits))


def jacobian_norm(
    model: nn.Module,
    inputs: Float[Tensor, " batch *image"],
    *,
    projections: int | None = None,
    seed: int = 0,
    indices: Int[Tensor, " batch"] | None = None,
    batch_size: int = 100,
) -> Float[Tensor, " batch"]:
    """Frobenius norm of the Jacobian of the logits with respect to each input.

    The table's column ``jacobian_frobenius`` is the square root of the *mean square* over the images: the square is
    what the projections estimate without bias, so that exact and estimated columns have one meaning.

    Args:
        model: the network, as described in :mod:`evaluation.sensitivity`.
        inputs: batch of images.
        projections: random directions per sample, one backward pass each; None is exact and takes ``C`` passes. One
            projection of one sample has a relative standard deviation of up to ``sqrt(2)`` in the square.
        seed: seed of the directions.
        indices: the images' indices in their data set, which the directions belong to; by default 0, 1, 2, ...
        batch_size: images at a time; does not change the values beyond rounding.

    Returns:
        Norms in logits per pixel unit, in the dtype and on the device of the inputs.

    Raises:
        ValueError: if ``projections`` or ``batch_size`` is not positive, and for what
            :mod:`evaluation.checks` refuses.

    Example:
        >>> model = torch.nn.Linear(2, 2, bias=False).eval()
        >>> _ = torch.nn.init.eye_(model.weight)
        >>> jacobian_norm(model, torch.zeros(1, 2))
        tensor([1.4142])
    """
    check_batch(model, inputs)
    check_positive(batch_size=batch_size, projections=1 if projections is None else projections)
    all_keys = sample_keys(seed, "jacobian", inputs, indices)
    norms = []
    for rows in batches(len(inputs), batch_size):
        leaf, logits = linearise(model, inputs[rows])
        if projections is None:
            directions = class_basis(logits)
        else:
            directions = random_directions(all_keys[rows], projections, logits)
        norms.append(norm_along(pull_back(leaf, logits, directions), directions))
    return torch.cat(norms)
