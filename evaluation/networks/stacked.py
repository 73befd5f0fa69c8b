"""Many architectures as one network: the same layers side by side in grouped convolutions.

Small networks leave a processor idle between calls. A stack holds ``A`` architectures of one shape and runs them
together: features are ``[batch, A, channels, height, width]``, all 3x3 convolutions into one cell node are a single
grouped convolution over the architectures (and edges) that have one, likewise 1x1 convolutions and pools. Nothing is
shared between architectures: each computes what :class:`~evaluation.networks.nasbench201.CellNetwork` computes.

One liberty that changes no logit: edges that cannot reach the cell's output are left out.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.spaces.nasbench201 import EDGES, parse
from evaluation.networks.nasbench201 import KERNELS, CellNetwork, NetworkShape, normalize, reaches_output

Features = Float[Tensor, "batch members channels height width"]


def named_uniform(shape: Sequence[int], bound: float, *, seed: int, name: str) -> Tensor:
    """Uniform values in [-bound, bound] that depend on the seed and the tensor's name alone.

    Equal names give equal values in every architecture, so that architectures differ by their cell and not by the luck
    of their draws, and nothing depends on which architectures are trained together.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.empty(*shape).uniform_(-bound, bound, generator=rng)


def initialize(network: CellNetwork, *, seed: int) -> None:
    """Draw a network's weights as a stack would: by name, from the framework's default distribution; in place."""
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4 or name.startswith("classifier"):
            fan_in = parameter[0].numel() if parameter.ndim == 4 else network.classifier.in_features
            with torch.no_grad():
                parameter.copy_(named_uniform(parameter.shape, 1 / math.sqrt(fan_in), seed=seed, name=name))


class GroupedConvNorm(nn.Module):
    """One convolution and batch normalisation per member, as a single grouped convolution.

    Args:
        names: the tensor name of each member's convolution in a :class:`CellNetwork`, which seeds its initial weights.
        c_in: input channels of each member.
        c_out: output channels of each member.
        kernel: side of the kernel.
        stride: stride of the convolution.
        norm: whether a batch normalisation follows.
        seed: seed of the initial weights (the framework's default distribution).
    """

    def __init__(
        self,
        names: Sequence[str],
        c_in: int,
        c_out: int,
        kernel: int,
        *,
        seed: int,
        stride: int = 1,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.names, self.members, self.stride, self.padding = tuple(names), len(names), stride, kernel // 2
        bound = 1 / math.sqrt(c_in * kernel**2)
        shape = (c_out, c_in, kernel, kernel)
        self.weight = nn.Parameter(torch.cat([named_uniform(shape, bound, seed=seed, name=name) for name in names]))
        self.norm = nn.BatchNorm2d(len(names) * c_out) if norm else None

    def forward(self, x: Features) -> Float[Tensor, "batch members c_out height_out width_out"]:
        """Apply each member's convolution to its own features."""
        y = F.conv2d(x.flatten(1, 2), self.weight, None, self.stride, self.padding, groups=self.members)
        if self.norm is not None:
            y = self.norm(y)
        return y.unflatten(1, (self.members, -1))

    def copy_to(self, network: CellNetwork, position: int) -> None:
        """Copy one member's convolution and normalisation into the network it belongs to."""
        prefix, index = self.names[position].removesuffix(".weight").rsplit(".", 1)
        block = network.get_submodule(prefix) if self.norm is not None else network
        with torch.no_grad():
            network.get_parameter(self.names[position]).copy_(self.weight.chunk(self.members)[position])
            if self.norm is not None:
                copy_norm(self.norm, block.get_submodule(str(int(index) + 1)), position, self.members)


def copy_norm(norm: nn.BatchNorm2d, plain: nn.Module, position: int, members: int) -> None:
    """Copy one member's share of a normalisation over all members."""
    assert isinstance(plain, nn.BatchNorm2d)
    state = {
        name: tensor.chunk(members)[position] if tensor.ndim else tensor for name, tensor in norm.state_dict().items()
    }
    plain.load_state_dict(state)


class StackedCell(nn.Module):
    """The cells of all architectures at one depth.

    Nodes are kept as one tensor per architecture: a skip is then free, and only the operands of a convolution or a pool
    are gathered.
    """

    def __init__(self, operations: Sequence[tuple[str, ...]], channels: int, *, prefix: str, seed: int) -> None:
        super().__init__()
        self.plan: list[dict[str, list[tuple[int, int]]]] = []  # per node: operation -> (architecture, source)
        self.convolutions = nn.ModuleDict()
        for target in (1, 2, 3):
            node: dict[str, list[tuple[int, int]]] = {}
            names: dict[str, list[str]] = {}
            for edge, (source, end) in enumerate(EDGES):
                for a, ops in enumerate(operations):
                    if end == target and ops[edge] != "none" and reaches_output(ops, target):
                        node.setdefault(ops[edge], []).append((a, source))
                        names.setdefault(ops[edge], []).append(f"{prefix}.edges.{edge}.1.weight")
            self.plan.append(node)
            for op, kernel in KERNELS.items():
                if op in node:
                    convolution = GroupedConvNorm(names[op], channels, channels, kernel, seed=seed)
                    self.convolutions[f"{target}_{op}"] = convolution

    def forward(self, x: Features) -> Features:
        """Output nodes of the cells."""
        zero = torch.zeros_like(x[:, 0])  # by identity it marks nodes that nothing has reached yet
        nodes = [[value] + [zero] * 3 for value in x.unbind(1)]
        for target, plan in enumerate(self.plan, start=1):
            # in a fixed order: a node's sum must not depend, even by rounding, on the other architectures of the stack
            for op in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect"):
                operands = [nodes[a][source] for a, source in plan.get(op, ())]
                if not operands:
                    continue
                if op in KERNELS:
                    gathered = F.relu_(torch.stack(operands, dim=1))
                    operands = self.convolutions[f"{target}_{op}"](gathered).unbind(1)
                elif op == "avg_pool_3x3":
                    operands = average_pool_3x3(torch.stack(operands, dim=1)).unbind(1)
                for (a, _), value in zip(plan[op], operands, strict=True):
                    node = nodes[a]
                    node[target] = value if node[target] is zero else node[target] + value
        return torch.stack([node[3] for node in nodes], dim=1)


def average_pool_3x3(x: Features) -> Features:
    """3x3 average over the valid neighbours, stride 1: the pool of NAS-Bench-201.

    On maps of up to 16x16 a product with the pool's matrix is several times faster than the framework's loop.
    """
    height, width = x.shape[-2:]
    if height * width > 256:
        return F.avg_pool2d(x.flatten(0, 2), 3, 1, 1, count_include_pad=False).view_as(x)
    matrix = torch.kron(_band(height), _band(width)).to(x)
    return (x.flatten(-2) @ matrix.T).view_as(x)


@lru_cache
def _band(size: int) -> Float[Tensor, "size size"]:
    """Row-normalised tridiagonal matrix of ones: the 1-D average over valid neighbours."""
    position = torch.arange(size)
    band = ((position[:, None] - position).abs() <= 1).float()
    return band / band.sum(dim=1, keepdim=True)


class NetworkStack(nn.Module):
    """``A`` networks of one shape and different cells, run together.

    Args:
        architectures: the cells' strings.
        shape: widths, depth and classes of every network.
        seed: seed of the initial weights; see :func:`named_uniform`.
    """

    def __init__(self, architectures: Sequence[str], shape: NetworkShape, *, seed: int) -> None:
        super().__init__()
        self.architectures, self.shape, self.seed = tuple(architectures), shape, seed
        operations = [parse(a) for a in architectures]
        n = len(operations)
        c0, c1, c2 = shape.widths

        def everywhere(name: str, c_in: int, c_out: int, kernel: int, **kwargs) -> GroupedConvNorm:
            return GroupedConvNorm([name] * n, c_in, c_out, kernel, seed=seed, **kwargs)

        self.stem = everywhere("stem.0.weight", shape.in_channels, c0, 3)
        self.stages = nn.ModuleList(
            nn.ModuleList(
                StackedCell(operations, width, prefix=f"stages.{s}.{c}", seed=seed)
                for c in range(shape.cells_per_stage)
            )
            for s, width in enumerate((c0, c1, c2))
        )
        self.reductions = nn.ModuleList(
            nn.ModuleDict(
                {
                    "conv_a": everywhere(f"reductions.{r}.conv_a.1.weight", c_in, c_out, 3, stride=2),
                    "conv_b": everywhere(f"reductions.{r}.conv_b.1.weight", c_out, c_out, 3),
                    "shortcut": everywhere(f"reductions.{r}.shortcut.weight", c_in, c_out, 1, norm=False),
                }
            )
            for r, (c_in, c_out) in enumerate(((c0, c1), (c1, c2)))
        )
        self.norm = nn.BatchNorm2d(n * c2)
        bound = 1 / math.sqrt(c2)
        weight = named_uniform((shape.num_classes, c2), bound, seed=seed, name="classifier.weight")
        bias = named_uniform((shape.num_classes,), bound, seed=seed, name="classifier.bias")
        self.classifier_weight = nn.Parameter(weight.repeat(n, 1, 1))
        self.classifier_bias = nn.Parameter(bias.repeat(n, 1))

    def __len__(self) -> int:
        return len(self.architectures)

    def __repr__(self) -> str:
        return f"NetworkStack({len(self)} networks, {self.shape})"

    def forward(
        self, x: Float[Tensor, "batch members channels height width"]
    ) -> Float[Tensor, "batch members classes"]:
        """Logits of every architecture on its own copy of the images (pixels in [0, 1])."""
        x = self.stem(normalize(x, self.shape))
        for index, stage in enumerate(self.stages):
            for cell in stage:  # pyright: ignore[reportGeneralTypeIssues]
                x = cell(x)
            if index < 2:
                block = self.reductions[index]
                main = block["conv_b"](F.relu(block["conv_a"](F.relu(x))))  # pyright: ignore
                pooled = F.avg_pool2d(x.flatten(1, 2), 2).unflatten(1, (len(self), -1))
                x = block["shortcut"](pooled) + main  # pyright: ignore
        features = F.relu(self.norm(x.flatten(1, 2))).mean(dim=(2, 3)).unflatten(1, (len(self), -1))
        return torch.einsum("bac,akc->bak", features, self.classifier_weight) + self.classifier_bias

    def network(self, member: int) -> CellNetwork:
        """A copy of one network on its own, on the stack's device, in the stack's mode.

        Edges that the stack leaves out have their initial weights.
        """
        network = CellNetwork(self.architectures[member], self.shape)
        initialize(network, seed=self.seed)
        network.to(self.classifier_weight).train(self.training)
        for module in self.modules():
            if isinstance(module, StackedCell):
                for key, convolution in module.convolutions.items():
                    target, op = key.split("_", 1)
                    for position, (owner, _) in enumerate(module.plan[int(target) - 1][op]):
                        if owner == member:
                            convolution.copy_to(network, position)  # pyright: ignore[reportCallIssue]
            elif isinstance(module, GroupedConvNorm) and ".edges." not in module.names[0]:
                module.copy_to(network, member)
        copy_norm(self.norm, network.norm, member, len(self))
        with torch.no_grad():
            network.classifier.weight.copy_(self.classifier_weight[member])
            network.classifier.bias.copy_(self.classifier_bias[member])
        return network
