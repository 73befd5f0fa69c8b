"""A stack of networks on small maps, compiled for attack: every convolution is a matrix product.

On maps of 8x8 and less a grouped convolution of few channels leaves a processor's vector units idle. Written out as a
matrix over channels and places, it is more products, but one large product per network, which is faster by far.
Normalisations are folded in, and the weights need no gradient. Logits are those of the stack to rounding.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.networks.nasbench201 import KERNELS, normalize
from evaluation.networks.stacked import GroupedConvNorm, NetworkStack, StackedCell, average_pool_3x3

LARGEST_MAP = 8
"""Height and width up to which matrices are the faster way."""

Flat = Float[Tensor, "members batch values"]
"""Features with channels and places in one axis."""


class Dense(nn.Module):
    """A convolution with its normalisation as one matrix and shift per network.

    Args:
        matrix: ``[members, values in, values out]``.
        shift: shift of every output channel, ``[members, channels out]``; None for none.
    """

    def __init__(self, matrix: Float[Tensor, "members values_in values_out"], shift: Tensor | None) -> None:
        super().__init__()
        self.matrix, self.shift = matrix, None
        if shift is not None:
            places = matrix.shape[2] // shift.shape[1]
            self.shift = shift.repeat_interleave(places, dim=1).unsqueeze(1).to(matrix)

    def forward(self, x: Flat) -> Float[Tensor, "members batch values_out"]:
        """The product, shifted."""
        return torch.bmm(x, self.matrix) if self.shift is None else torch.baddbmm(self.shift, x, self.matrix)


class Pointwise(nn.Module):
    """A 1x1 convolution with its normalisation as one small matrix and shift per network.

    Args:
        weight: ``[members, channels out, channels in]``.
        shift: shift of every output channel, ``[members, channels out]``.
    """

    def __init__(self, weight: Float[Tensor, "members c_out c_in"], shift: Float[Tensor, "members c_out"]) -> None:
        super().__init__()
        self.weight, self.shift = weight.unsqueeze(1), shift[:, None, :, None].to(weight)

    def forward(self, x: Flat) -> Float[Tensor, "members batch values_out"]:
        """The product at every place, shifted."""
        maps = x.unflatten(2, (self.weight.shape[-1], -1))
        return torch.matmul(self.weight, maps).add_(self.shift).flatten(2)


def product(block: GroupedConvNorm, size: int) -> Dense | Pointwise:
    """A convolution that halves its maps where its stride says so; without a normalisation, behind a 2x2 mean pool.

    Args:
        block: convolutions of the stack.
        size: height and width of the maps that it reads.
    """
    weight = block.weight.detach().unflatten(0, (block.members, -1)).double()
    norm = block.norm
    if norm is None:
        return Dense(_matrix(weight.expand(-1, -1, -1, 2, 2) / 4, size, stride=2, padding=0).to(block.weight), None)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    scale, shift = (values.unflatten(0, (block.members, -1)) for values in (scale, shift))
    folded = (weight * scale[:, :, None, None, None]).to(block.weight)
    if folded.shape[-1] == 1:
        return Pointwise(folded.flatten(2), shift)
    return Dense(_matrix(folded, size, stride=block.stride, padding=block.padding), shift)


def _matrix(
    weight: Float[Tensor, "members c_out c_in kernel kernel"], size: int, *, stride: int, padding: int
) -> Float[Tensor, "members values_in values_out"]:
    """The matrix of a convolution over maps of one size."""
    place = _places(size, weight.shape[-1], stride, padding).to(weight.device)
    weights = F.pad(weight.flatten(3), (0, 1)).transpose(1, 2)  # the last: no weight where the kernel does not reach
    return weights[..., place].transpose(2, 3).flatten(3, 4).flatten(1, 2)


@lru_cache
def _places(size: int, kernel: int, stride: int, padding: int) -> Int[Tensor, "places_in places_out"]:
    """Which weight of a kernel joins an input place with an output place; ``kernel**2`` for none."""
    out = (size + 2 * padding - kernel) // stride + 1
    offset = torch.arange(size)[:, None] - (torch.arange(out) * stride - padding)
    inside = (offset >= 0) & (offset < kernel)
    joined = offset[:, None, :, None] * kernel + offset[None, :, None, :]
    both = inside[:, None, :, None] & inside[None, :, None, :]
    return torch.where(both, joined, kernel**2).reshape(size**2, out**2)


class _Cell:
    """The cells of a stack at one depth."""

    def __init__(self, cell: StackedCell, size: int) -> None:
        self.plan, self.size = cell.plan, size
        self.products = {key: product(block, size) for key, block in cell.convolutions.items()}  # pyright: ignore

    def __call__(self, x: Flat) -> Flat:
        zero = torch.zeros_like(x[0])  # by identity it marks nodes that nothing has reached yet
        nodes = [[value] + [zero] * 3 for value in x.unbind(0)]
        for target, plan in enumerate(self.plan, start=1):
            for op in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect"):
                operands = [nodes[a][source] for a, source in plan.get(op, ())]
                if not operands:
                    continue
                if op in KERNELS:
                    operands = self.products[f"{target}_{op}"](F.relu_(torch.stack(operands))).unbind(0)
                elif op == "avg_pool_3x3":
                    maps = torch.stack(operands).unflatten(2, (-1, self.size, self.size))
                    operands = average_pool_3x3(maps).flatten(2).unbind(0)
                for (a, _), value in zip(plan[op], operands, strict=True):
                    node = nodes[a]
                    node[target] = value if node[target] is zero else node[target] + value
        return torch.stack([node[3] for node in nodes])


class CompiledStack:
    """A stack in evaluation mode, for images of one size; later changes of its weights are not seen.

    Args:
        stack: the networks.
        size: height and width of the images, a multiple of 4.
    """

    def __init__(self, stack: NetworkStack, size: int) -> None:
        self.shape, sizes = stack.shape, (size, size // 2, size // 4)
        self.stem = product(stack.stem, size)
        self.stages = [
            [_Cell(cell, side) for cell in stage]  # pyright: ignore
            for side, stage in zip(sizes, stack.stages, strict=True)
        ]
        self.reductions = [
            (product(block["conv_a"], side), product(block["conv_b"], side // 2), product(block["shortcut"], side))  # pyright: ignore
            for side, block in zip(sizes[:2], stack.reductions, strict=True)
        ]
        self.norm, self.members, self.places = stack.norm, len(stack), sizes[2] ** 2
        self.weight, self.bias = stack.classifier_weight.detach(), stack.classifier_bias.detach()

    def __call__(
        self, x: Float[Tensor, "batch members channels height width"]
    ) -> Float[Tensor, "batch members classes"]:
        """Logits of images with pixels in [0, 1]."""
        features = self.stem(normalize(x, self.shape).transpose(0, 1).flatten(2))
        for index, stage in enumerate(self.stages):
            for cell in stage:
                features = cell(features)
            if index < 2:
                conv_a, conv_b, shortcut = self.reductions[index]
                features = shortcut(features) + conv_b(F.relu_(conv_a(F.relu(features))))
        maps = features.unflatten(2, (-1, self.places, 1)).transpose(0, 1).flatten(1, 2)
        pooled = F.relu(self.norm(maps)).mean((2, 3)).unflatten(1, (self.members, -1))
        return torch.einsum("bac,akc->bak", pooled, self.weight) + self.bias
