"""One DARTS cell of the final network."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agnet.spaces.darts.notation import STEPS
from agnet.spaces.darts.notation import Cell as Genes
from evaluation.networks.darts.operations import FactorizedReduce, ReLUConvNorm, operation

EDGES = 2 * STEPS
"""Operations of a cell."""


class DARTSCell(nn.Module):
    """Two inputs, brought to one width and resolution; four nodes, each the sum of two operations; their concatenation.

    Args:
        genes: two operations of every node with their sources: 0 and 1 are the inputs, 2 to 5 the nodes.
        c_before: channels of the first input, the output of the cell before the last.
        c_last: channels of the second input, the output of the last cell.
        channels: channels of every node.
        reduces: whether operations on the inputs have stride 2.
        after_reduction: whether the last cell reduced, so that the first input has twice the resolution.
    """

    def __init__(
        self, genes: Genes, c_before: int, c_last: int, channels: int, *, reduces: bool, after_reduction: bool
    ) -> None:
        super().__init__()
        self.reduces = reduces
        self.preprocess_before = (FactorizedReduce if after_reduction else ReLUConvNorm)(c_before, channels)
        self.preprocess_last = ReLUConvNorm(c_last, channels)
        self.sources = [source for node in genes for _, source in node]
        self.edges = nn.ModuleList(
            operation(name, channels, 2 if reduces and source < 2 else 1) for node in genes for name, source in node
        )

    def forward(
        self,
        before: Float[Tensor, "batch c_before height_before width_before"],
        last: Float[Tensor, "batch c_last height width"],
        kept: Float[Tensor, "batch edges"] | None = None,
    ) -> Float[Tensor, "batch c_out out_height out_width"]:
        """The nodes, concatenated.

        Args:
            before: output of the cell before the last.
            last: output of the last cell.
            kept: a factor for every image and operation, 0 where the path is dropped; identities keep theirs.
        """
        nodes = [self.preprocess_before(before), self.preprocess_last(last)]
        for step in range(STEPS):
            parts = []
            for edge in (2 * step, 2 * step + 1):
                value = self.edges[edge](nodes[self.sources[edge]])
                if kept is not None and not isinstance(self.edges[edge], nn.Identity):
                    value = value * kept[:, edge, None, None, None].to(value.dtype)
                parts.append(value)
            nodes.append(parts[0] + parts[1])
        return torch.cat(nodes[2:], dim=1)
