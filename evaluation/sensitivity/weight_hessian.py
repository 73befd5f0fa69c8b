"""The largest eigenvalues of the Hessian of the mean loss with respect to the weights.

Lanczos' method on Hessian-vector products: Ghorbani, Krishnan & Xiao, 2019, https://arxiv.org/abs/1901.10159. The
products are reverse over reverse, which here is cheaper than forward over reverse.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from evaluation.checks import check_batch, check_logits, check_positive
from evaluation.randomness import keys
from evaluation.sensitivity.jacobian import batches
from evaluation.sensitivity.lanczos import Eigenvalues, lanczos


def weight_hessian_top(
    model: nn.Module,
    inputs: Float[Tensor, " batch *image"],
    labels: Int[Tensor, " batch"],
    *,
    k: int = 1,
    iterations: int = 50,
    tolerance: float = 1e-4,
    seed: int = 0,
    batch_size: int = 100,
) -> Eigenvalues:
    """Largest algebraic eigenvalues of the Hessian of the mean cross-entropy over all parameters of the model.

    All parameters count, whatever their ``requires_grad`` says: convolutions, affine normalisations, the classifier.
    Normalisations use their running statistics. The column ``hessian_weight_top1`` is the first value.

    Args:
        model: the network, as described in :mod:`evaluation.sensitivity`.
        inputs: the images that the loss is the mean over.
        labels: class of every image.
        k: number of eigenvalues; of a multiple eigenvalue one copy may be found, see
            :func:`~evaluation.sensitivity.lanczos.lanczos`.
        iterations: Hessian-vector products at most; also the vectors of the model's size held in memory.
        tolerance: residual, relative to the largest eigenvalue, at which the iteration ends.
        seed: seed of the start vector.
        batch_size: images at a time. Graphs of one batch are held at once; where all images fit in one batch the
            gradient's graph is kept for all products, which saves a third of the time. Does not change the values
            beyond rounding.

    Returns:
        Eigenvalues ``[k]`` in decreasing order, in nats per squared weight.

    Raises:
        ValueError: if a setting is not positive, the model has fewer than ``k`` parameters or gets fewer than ``k``
            iterations, and for what :mod:`evaluation.checks` refuses.
    """
    check_batch(model, inputs, labels)
    check_positive(iterations=iterations, tolerance=tolerance, batch_size=batch_size)
    weights = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}
    leaves = list(weights.values())
    sizes = [leaf.numel() for leaf in leaves]
    if not leaves:
        raise ValueError(f"{type(model).__name__} has no parameters, so its loss has no weight Hessian")

    def gradients(rows: slice) -> list[tuple[int, Tensor]]:
        """Gradients of the batch's share of the loss, with the parameters' places; those with a graph only."""
        with torch.enable_grad():
            logits = functional_call(model, weights, (inputs[rows].detach(),))
            check_logits(logits, inputs[rows], labels[rows])
            if not logits.requires_grad:
                return []
            loss = F.cross_entropy(logits, labels[rows], reduction="sum") / len(inputs)
            found = torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True)
        return [(place, gradient) for place, gradient in enumerate(found) if gradient.requires_grad]

    kept = gradients(slice(None)) if len(inputs) <= batch_size else None

    def graphs() -> Iterator[list[tuple[int, Tensor]]]:
        if kept is not None:
            yield kept
            return
        for rows in batches(len(inputs), batch_size):
            yield gradients(rows)

    def product(vectors: Float[Tensor, "1 size"]) -> Float[Tensor, "1 size"]:
        parts = [part.view_as(leaf) for part, leaf in zip(vectors[0].split(sizes), leaves, strict=True)]
        total = torch.zeros_like(vectors[0])
        for graph in graphs():
            if graph:
                images = torch.autograd.grad(
                    [gradient for _, gradient in graph],
                    leaves,
                    [parts[place] for place, _ in graph],
                    retain_graph=kept is not None,
                    materialize_grads=True,
                )
                total += torch.cat([image.flatten() for image in images])
        return total[None]

    found = lanczos(
        product,
        keys(seed, "weight_hessian", torch.zeros(1, dtype=torch.int64, device=inputs.device)),
        sum(sizes),
        k=k,
        iterations=iterations,
        tolerance=tolerance,
        dtype=inputs.dtype,
    )
    return Eigenvalues(found.values[0], found.residuals[0], found.converged[0])
