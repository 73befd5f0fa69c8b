"""Compile a network for attack: equal logits (to rounding) by cheaper passes.

An attack asks one network for logits and input gradients thousands of times, so everything that does not depend on the
image is done once: batch normalisations are folded into the convolutions, edges that cannot reach the output are left
out, skips alias their source, convolutions that read one node are a single convolution, what a dead node feeds is a
constant of batch size 1, weights lie in channels_last order and need no gradient.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import InvalidInput
from agnet.spaces.nasbench201 import EDGES
from evaluation.networks.nasbench201 import KERNELS, CellNetwork, NASBench201Cell, Reduction, edges_to_output
from evaluation.networks.pool import average_pool_3x3

MIN_BATCH = 16  # smaller batches are padded: on CPU they take other matrix and convolution routines and round otherwise


class Convolution(nn.Module):
    """Convolution with a folded normalisation.

    Args:
        weight: kernel, ``[c_out, c_in, k, k]``.
        bias: shift of each output channel, or None.
        stride: stride of the convolution.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int = 1) -> None:
        super().__init__()
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias)
        self.stride, self.padding = stride, weight.shape[-1] // 2

    def forward(self, x: Float[Tensor, "batch c_in height width"]) -> Float[Tensor, "batch c_out height_out width_out"]:
        """Convolved features."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution followed by its evaluation-mode normalisation.

    They are computed in float64 and returned in the weight's own type.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = convolution.weight.double() * scale[:, None, None, None]
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return weight.to(convolution.weight).detach(), bias.to(convolution.weight).detach()


class CompiledCell(nn.Module):
    """A cell without its dead edges.

    Args:
        cell: the trained cell.
        parallel: make the convolutions that read one node with one kernel size a single convolution.
    """

    def __init__(self, cell: NASBench201Cell, *, parallel: bool) -> None:
        super().__init__()
        self.channels = cell.channels
        self.plain: list[tuple[int, int, str]] = []  # skips and pools: source, target, operation
        groups: dict[tuple[int, ...], list[int]] = {}
        folded: dict[int, tuple[Tensor, Tensor]] = {}
        for i, source, target in edges_to_output(cell.operations):
            operation = cell.operations[i]
            if operation in KERNELS:
                block: nn.Sequential = cell.edges[i]  # pyright: ignore[reportAssignmentType]
                folded[i] = fold(block[1], block[2])  # pyright: ignore[reportArgumentType]
                key = (source, KERNELS[operation]) if parallel else (source, i)
                groups.setdefault(key, []).append(i)
            else:
                self.plain.append((source, target, operation))
        self.groups = [(key[0], [EDGES[i][1] for i in members]) for key, members in groups.items()]
        self.convolutions = nn.ModuleList(
            Convolution(torch.cat([folded[i][0] for i in members]), torch.cat([folded[i][1] for i in members]))
            for members in groups.values()
        )

    def forward(
        self, x: Float[Tensor, "#batch channels height width"]
    ) -> Float[Tensor, "#batch channels height width"]:
        """Output node; of batch size 1 if it does not depend on the images."""
        nodes: list[Tensor | None] = [x, None, None, None]

        def add(target: int, value: Tensor, *, fresh: bool) -> None:
            """Add to a node; memory that nobody else reads is written over."""
            node = nodes[target]
            if node is None:
                nodes[target] = value
            else:
                nodes[target] = value.add_(node) if fresh and value.shape == node.shape else node + value

        for source in range(3):
            node = nodes[source]
            for begin, target, operation in self.plain:
                if begin == source and node is not None:
                    skip = operation == "skip_connect"
                    add(target, node if skip else average_pool_3x3(node), fresh=not skip)
            rectified = None
            for (begin, targets), convolution in zip(self.groups, self.convolutions, strict=True):
                if begin != source:
                    continue
                if node is None:  # zeros in, the shift out
                    values = convolution.bias.view(1, -1, 1, 1).expand(1, -1, *x.shape[-2:])  # pyright: ignore
                else:
                    rectified = F.relu(node) if rectified is None else rectified
                    values = convolution(rectified)
                parts = values.split(self.channels, dim=1) if len(targets) > 1 else (values,)
                for target, value in zip(targets, parts, strict=True):
                    add(target, value, fresh=len(targets) == 1 and node is not None)
        return nodes[3] if nodes[3] is not None else torch.zeros_like(x[:1])


class CompiledReduction(nn.Module):
    """The residual reduction block with folded normalisations."""

    def __init__(self, block: Reduction) -> None:
        super().__init__()
        self.conv_a = Convolution(*fold(block.conv_a[1], block.conv_a[2]), stride=2)  # pyright: ignore
        self.conv_b = Convolution(*fold(block.conv_b[1], block.conv_b[2]))  # pyright: ignore
        self.shortcut = Convolution(block.shortcut.weight.detach().clone(), None)

    def forward(
        self, x: Float[Tensor, "batch c_in height width"]
    ) -> Float[Tensor, "batch c_out half_height half_width"]:
        """Half-resolution features."""
        return self.shortcut(F.avg_pool2d(x, 2)) + self.conv_b(F.relu_(self.conv_a(F.relu(x))))


class CompiledNetwork(nn.Module):
    """A trained :class:`~evaluation.networks.nasbench201.CellNetwork`, compiled for attack.

    Takes images of any floating type and returns logits in float32 (float64 when compiled so).

    Args:
        network: the network, in evaluation mode; it is not changed.
        dtype: type of the features; float32 and float64 give the network's own logits to rounding, bfloat16 is for
            searching perturbations that a float32 network then judges.

    Raises:
        InvalidInput: if the network is in training mode: its logits would depend on the batch.
    """

    mean: Tensor
    inverse_std: Tensor
    classifier_weight: Tensor
    classifier_bias: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, network: CellNetwork, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if network.training:
            raise InvalidInput("the network is in training mode; call .eval() first")
        self.dtype = dtype
        self.stem = Convolution(*fold(network.stem[0], network.stem[1]))  # pyright: ignore
        # a launch less pays on accelerators; on CPU the wider convolution is the slower one
        parallel = network.classifier.weight.device.type != "cpu"
        self.stages = nn.ModuleList(
            nn.ModuleList(CompiledCell(cell, parallel=parallel) for cell in stage)  # pyright: ignore
            for stage in network.stages
        )
        self.reductions = nn.ModuleList(CompiledReduction(block) for block in network.reductions)  # pyright: ignore
        norm, classifier = network.norm, network.classifier
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        shift = norm.bias.double() - norm.running_mean.double() * scale
        constants: Mapping[str, Tensor] = {
            "mean": torch.as_tensor(network.shape.mean, dtype=torch.float64, device=scale.device).view(-1, 1, 1),
            "inverse_std": 1
            / torch.as_tensor(network.shape.std, dtype=torch.float64, device=scale.device).view(-1, 1, 1),
            "scale": scale.view(-1, 1, 1),
            "shift": shift.view(-1, 1, 1),
        }
        for name, value in constants.items():
            self.register_buffer(name, value.detach())
        self.register_buffer("classifier_weight", classifier.weight.detach().clone())
        self.register_buffer("classifier_bias", classifier.bias.detach().clone())
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        self.to(device=classifier.weight.device, dtype=exact)
        for body in (self.stages, self.reductions):  # in bfloat16 the pixels themselves would lose a small eps
            body.to(dtype=dtype)
        self.eval().requires_grad_(False)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of images with pixels in [0, 1]."""
        batch = len(x)
        if batch < MIN_BATCH:
            x = torch.cat([x, x[:1].expand(MIN_BATCH - batch, -1, -1, -1)])
        x = x.to(dtype=self.classifier_weight.dtype, memory_format=torch.channels_last)
        x = self.stem((x - self.mean) * self.inverse_std).to(self.dtype)
        for index, stage in enumerate(self.stages):
            for cell in stage:  # pyright: ignore[reportGeneralTypeIssues]
                x = cell(x)
            if index < 2:
                x = self.reductions[index](x)
        features = F.relu(x * self.scale + self.shift).mean(dim=(2, 3))
        logits = F.linear(features, self.classifier_weight, self.classifier_bias)
        return logits.expand(max(batch, MIN_BATCH), -1)[:batch]
