"""A generator of graphs that consist of parts, such as the two cells of a pair."""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agnet.generator.model import FIXED_LOGIT, AbstractGenerator, Decoded, GraphGenerator
from agnet.runtime.gradients import with_gradients
from agnet.spaces.graphs import slot_index


class JointGenerator(AbstractGenerator):
    """One latent vector for all parts of a graph; each part is decoded from its own share of the vector.

    The cells of a pair have no edges between them, and a uniform distribution over pairs is uniform over either cell.
    Parts are therefore as likely alone as together. Every part has its own weights, so that retraining can make good
    normal cells in one share of the latent vector and good reduction cells in the other. The parts are joined by the
    latent vector, along which a surrogate of pairs has its gradient.

    Args:
        part: a pretrained generator of one part; all parts begin as copies of it.
        nodes: nodes of each part in the whole graph, ascending. The first part that has a shared node gives its scores.
            Nodes of different parts that are not shared have no edges between them.

    Example:
        >>> joint = JointGenerator(GraphGenerator(5, 4), [(0, 1, 2, 5), (0, 3, 4, 5)])
        >>> [tuple(scores.shape) for scores in joint(joint.prior(2, rng=torch.Generator()))]
        [(2, 6, 5), (2, 15)]
    """

    node_places: Tensor
    slot_places: Tensor

    @with_gradients
    def __init__(self, part: GraphGenerator, nodes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.num_types, self.latent_size = part.num_types, part.latent_size * len(nodes)
        self.parts = nn.ModuleList(copy.deepcopy(part) for _ in nodes)
        node_places: dict[int, int] = {}
        slot_places: dict[tuple[int, int], int] = {}
        source, target = (ends.tolist() for ends in slot_index(part.max_nodes))
        for i, places in enumerate(nodes):
            for place, node in enumerate(places):
                node_places.setdefault(node, i * part.max_nodes + place)
            for slot, (u, v) in enumerate(zip(source, target, strict=True)):
                slot_places.setdefault((places[u], places[v]), i * len(source) + slot)
        size, absent = len(node_places), len(nodes) * len(source)
        ends = zip(*(ends.tolist() for ends in slot_index(size)), strict=True)
        # position of every node and slot of the whole graph among those of all parts, which one absent edge follows
        self.register_buffer(
            "node_places", torch.tensor([node_places[node] for node in range(size)], device="cpu"), persistent=False
        )
        self.register_buffer(
            "slot_places",
            torch.tensor([slot_places.get(slot, absent) for slot in ends], device="cpu"),
            persistent=False,
        )

    def forward(self, z: Float[Tensor, "batch latent"]) -> Decoded:
        """Scores of whole graphs."""
        shares = z.chunk(len(self.parts), dim=1)
        decoded: list[Decoded] = [part(share) for part, share in zip(self.parts, shares, strict=True)]
        absent = z.new_full((len(z), 1), -FIXED_LOGIT)
        return Decoded(
            torch.cat([part.nodes for part in decoded], dim=1)[:, self.node_places],
            torch.cat([*(part.edges for part in decoded), absent], dim=1)[:, self.slot_places],
        )
