"""AG-Net's generator: it grows a cell from a latent vector, node by node.

Source: Lukasik, Jung & Keuper, 2022, https://arxiv.org/abs/2203.08734, Algorithm 3. At step ``t`` the nodes made so far
exchange messages along the edges made so far, and the graph is read out. The read-out and the latent vector give the
scores of node ``t``'s type and of the edges into it. Nothing is drawn while a graph grows: a node's scores are passed
on as a real vector, and an edge counts as present if its score exceeds 0.5.

Everything is dense and batched: the states of a batch are one tensor ``[batch, t, state]`` and the adjacency another.
A cell has at most a few dozen nodes, so gathering along edge lists would cost more than the zeros it saves. Forward
and backward messages are one batched product. The graph that a latent vector decodes to does not depend on its batch.
"""

import abc
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from agnet.runtime.gradients import with_gradients
from agnet.spaces.graphs import INPUT, RelaxedGraphs

FIXED_LOGIT = 20.0
"""Score of fixed parts, which are not learned: the first node is the input, and the second node reads the first."""

EDGE_THRESHOLD = 0.5
"""Score above which an edge carries messages while the graph grows."""


class Decoded(NamedTuple):
    """Scores of a batch of graphs.

    Attributes:
        nodes: unnormalised log-probabilities of node types.
        edges: log-odds of the edge slots, in the order of :mod:`agnet.spaces.graphs`.
    """

    nodes: Float[Tensor, "batch nodes types"]
    edges: Float[Tensor, "batch slots"]

    def __repr__(self) -> str:
        return f"Decoded(graphs: {len(self.nodes)}, nodes: {self.nodes.shape[1]}, types: {self.nodes.shape[2]})"

    def relaxed(self) -> RelaxedGraphs:
        """Probabilities instead of scores."""
        return RelaxedGraphs(self.nodes.softmax(dim=2), self.edges.sigmoid())


class AbstractGenerator(nn.Module, abc.ABC):
    """Decodes latent vectors into scores of graphs."""

    num_types: int
    """Size ``K`` of the node vocabulary."""
    latent_size: int
    """Size of the latent vector."""

    def __repr__(self) -> str:
        weights = sum(parameter.numel() for parameter in self.parameters())
        return f"{type(self).__name__}(latent_size={self.latent_size}, {weights:,} weights)"

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    def prior(self, n: int, *, rng: torch.Generator | None = None) -> Float[Tensor, "n latent"]:
        """Latent vectors drawn from the standard normal prior; ``rng=None`` uses torch's global source."""
        return torch.randn(n, self.latent_size, generator=rng, dtype=torch.float32, device="cpu").to(self.device)

    @abc.abstractmethod
    def forward(self, z: Float[Tensor, "batch latent"]) -> Decoded:
        """Scores of the graphs that latent vectors decode to, differentiable with respect to z and the weights."""


class Propagation(nn.Module):
    """One layer of bidirectional message passing with gated updates.

    The first half of a node's state travels along the edges, the second half against them. A message is linear in
    source and target, messages are summed, and a GRU cell updates the half-state.

    Args:
        state: size ``d`` of a node's state.
        device: device of the weights.
    """

    def __init__(self, state: int, *, device: torch.device | str = "cpu") -> None:
        super().__init__()
        half = state // 2
        self.forward_message = nn.Linear(2 * half, state, device=device, dtype=torch.float32)
        self.backward_message = nn.Linear(2 * half, state, device=device, dtype=torch.float32)
        self.forward_update = nn.GRUCell(state, half, device=device, dtype=torch.float32)
        self.backward_update = nn.GRUCell(state, half, device=device, dtype=torch.float32)

    def fused(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights of both directions as two batched products.

        Returns:
            Message weight ``[2, half, 2 d]`` (from the source, from the target) and target bias ``[2, 1, d]``; update
            weight ``[2, d + half, 4 half]`` from (messages, half-state) to (reset, update, new from messages, new from
            half-state) and its bias ``[2, 1, 4 half]``.
        """
        parts = [
            _fuse(self.forward_message, self.forward_update),
            _fuse(self.backward_message, self.backward_update),
        ]
        message_weight, message_bias, update_weight, update_bias = map(torch.stack, zip(*parts, strict=True))
        return message_weight, message_bias, update_weight, update_bias


def _fuse(message: nn.Linear, gru: nn.GRUCell) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    half = gru.hidden_size
    # the new state gets two columns: the reset gate scales its half-state term before the message term is added
    input_gates, input_new = gru.weight_ih.split([2 * half, half])
    state_gates, state_new = gru.weight_hh.split([2 * half, half])
    update_weight = torch.cat(
        [
            torch.cat([input_gates, input_new, torch.zeros_like(input_new)]),
            torch.cat([state_gates, torch.zeros_like(state_new), state_new]),
        ],
        dim=1,
    )
    gate_bias = gru.bias_ih[: 2 * half] + gru.bias_hh[: 2 * half]
    update_bias = torch.cat([gate_bias, gru.bias_ih[2 * half :], gru.bias_hh[2 * half :]])
    message_weight = torch.cat([message.weight[:, :half], message.weight[:, half:]])
    return message_weight.T, message.bias[None], update_weight.T, update_bias[None]


class Perceptron(nn.Module):
    """Linear, ReLU, linear.

    Args:
        inputs: size of the input.
        hidden: size of the hidden layer.
        outputs: size of the output.
        device: device of the weights.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden, device=device, dtype=torch.float32)
        self.second = nn.Linear(hidden, outputs, device=device, dtype=torch.float32)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Both layers applied to inputs."""
        return self.finish(self.first(x))

    def finish(self, preactivation: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch outputs"]:
        """Outputs for a given result of the first layer, for callers that compute that layer in parts."""
        return self.second(F.relu(preactivation))


def propagate(
    halves: Float[Tensor, "2 batch nodes half"],
    adjacency: Float[Tensor, "2 batch nodes nodes"],
    degrees: Float[Tensor, "2 batch nodes 1"],
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
) -> Float[Tensor, "2 batch nodes half"]:
    """One layer of message passing in both directions.

    Args:
        halves: forward and backward half-states.
        adjacency: ``[0, b, v, u]`` is 1 where ``u -> v``, ``[1]`` its transpose.
        degrees: row sums of ``adjacency``.
        weights: the layer's weights from :meth:`Propagation.fused`.
    """
    message_weight, message_bias, update_weight, update_bias = weights
    _, batch, nodes, half = halves.shape
    flat = halves.reshape(2, batch * nodes, half)
    from_source, from_target = torch.bmm(flat, message_weight).chunk(2, dim=-1)
    received = adjacency @ from_source.unflatten(1, (batch, nodes))
    own = degrees * (from_target + message_bias).unflatten(1, (batch, nodes))
    inputs = torch.cat([(received + own).flatten(1, 2), flat], dim=-1)
    gates, new_input, new_state = torch.baddbmm(update_bias, inputs, update_weight).split(
        [2 * half, half, half], dim=-1
    )
    reset, keep = gates.sigmoid().chunk(2, dim=-1)
    new = torch.tanh(new_input + reset * new_state)
    return torch.lerp(new, flat, keep).view_as(halves)


_LARGEST, _DEEPEST = 4096, 64


class GraphGenerator(AbstractGenerator):
    """Decode latent vectors into scores of node types and edges.

    Args:
        num_types: size ``K`` of the node vocabulary (0 is output, 1 is input).
        max_nodes: nodes ``N`` of every decoded graph.
        state: size of a node's state.
        latent_size: size of the latent vector and of the graph read-outs.
        layers: message-passing layers per step.
        device: device of the weights; on ``"meta"`` there are none yet.

    Raises:
        ConfigurationError: if ``state`` is odd, or a size is too small or far too large.
    """

    @with_gradients
    def __init__(
        self,
        num_types: int,
        max_nodes: int,
        state: int = 32,
        latent_size: int = 32,
        layers: int = 2,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if state % 2 or min(state, latent_size, layers) < 1 or num_types < 3 or max_nodes < 3:
            raise ConfigurationError(
                f"state must be even and all sizes positive, with at least 3 types and nodes; got {state=}, "
                f"{latent_size=}, {layers=}, {num_types=}, {max_nodes=}"
            )
        if max(state, latent_size, num_types, max_nodes) > _LARGEST or layers > _DEEPEST:
            raise ConfigurationError(
                f"{state=}, {latent_size=}, {num_types=}, {max_nodes=} may be {_LARGEST} at most and {layers=} "
                f"{_DEEPEST}; lower them"
            )
        self.num_types, self.max_nodes, self.state, self.latent_size = num_types, max_nodes, state, latent_size
        self.embedding = Perceptron(num_types, state, state, device=device)
        self.start = Perceptron(state + latent_size, 2 * state, state, device=device)
        self.init_node = Perceptron(state + 2 * latent_size, 2 * state, state, device=device)
        self.add_node = Perceptron(2 * latent_size, state, num_types, device=device)
        self.add_edge = Perceptron(2 * state + 2 * latent_size, 2 * state, 1, device=device)
        self.propagations = nn.ModuleList(Propagation(state, device=device) for _ in range(layers))
        # two gated read-outs: one for the new node's type and edges, one for its initial state
        self.readout = nn.Linear(state, latent_size, device=device, dtype=torch.float32)
        self.readout_gate = nn.Linear(state, 1, device=device, dtype=torch.float32)
        self.init_readout = nn.Linear(state, latent_size, device=device, dtype=torch.float32)
        self.init_readout_gate = nn.Linear(state, 1, device=device, dtype=torch.float32)

    def settings(self) -> dict[str, int]:
        """Arguments that build a generator of this shape."""
        return {
            "num_types": self.num_types,
            "max_nodes": self.max_nodes,
            "state": self.state,
            "latent_size": self.latent_size,
            "layers": len(self.propagations),
        }

    def forward(self, z: Float[Tensor, "batch latent"]) -> Decoded:
        """Scores of the graphs that latent vectors decode to.

        Differentiable with respect to ``z`` and the weights, except through the presence of edges.
        """
        batch, d = len(z), self.state
        layers = [layer.fused() for layer in self.propagations if isinstance(layer, Propagation)]
        readouts = (self.readout, self.init_readout, self.readout_gate, self.init_readout_gate)
        read_weight = torch.cat([m.weight for m in readouts])
        read_bias = torch.cat([m.bias for m in readouts])
        # each first layer is split by its inputs, so that its terms in z are computed once and not at every step
        add_node, init_node, add_edge = self.add_node.first, self.init_node.first, self.add_edge.first
        type_from_graph, type_from_z = add_node.weight.split([self.latent_size, self.latent_size], dim=1)
        init_from_node, init_from_graph, init_from_z = init_node.weight.split(
            [d, self.latent_size, self.latent_size], dim=1
        )
        edge_from_old, edge_from_new, edge_from_z = add_edge.weight.split(
            [d, d + self.latent_size, self.latent_size], dim=1
        )
        z_for_type = F.linear(z, type_from_z, add_node.bias)
        z_for_init = F.linear(z, init_from_z, init_node.bias)
        z_for_edge = F.linear(z, edge_from_z, add_edge.bias)

        first = z.new_zeros(batch, self.num_types)
        first[:, INPUT] = FIXED_LOGIT
        one_hot = z.new_zeros(self.num_types)
        one_hot[INPUT] = 1.0
        begin = self.embedding(one_hot).expand(batch, -1)
        states = self.start(torch.cat([begin, z], dim=1)).unsqueeze(1)
        node_logits, edge_logits = [first], []
        adjacency = z.new_zeros(batch, self.max_nodes, self.max_nodes)

        for t in range(1, self.max_nodes):
            if t == 1:  # the input alone: there is no edge to pass messages along, and its read-out is not gated
                ungated = F.linear(states[:, 0], read_weight, read_bias)[:, : 2 * self.latent_size]
                graph, graph_init = ungated.chunk(2, dim=1)
            else:
                into = adjacency[:, :t, :t]
                # both directions go through one batched product instead of two calls
                both = torch.stack([into, into.transpose(1, 2)])
                degrees = both.sum(dim=3, keepdim=True)
                halves = torch.stack(states.chunk(2, dim=2))
                for weights in layers:
                    halves = propagate(halves, both, degrees, weights)
                states = torch.cat([halves[0], halves[1]], dim=2)
                values, gates = F.linear(states, read_weight, read_bias).split([2 * self.latent_size, 2], dim=2)
                gated = values.unflatten(2, (2, self.latent_size)) * gates.sigmoid().unsqueeze(3)
                graph, graph_init = gated.sum(dim=1).unbind(1)
            types = self.add_node.finish(F.linear(graph, type_from_graph) + z_for_type)
            # the type's scores are embedded as they are: a draw would cut the gradient from later nodes to z
            embedded = F.linear(self.embedding(types), init_from_node)
            new = self.init_node.finish(embedded + F.linear(graph_init, init_from_graph) + z_for_init)
            if t == 1:
                edges = z.new_full((batch, 1), FIXED_LOGIT)
            else:
                shared = F.linear(torch.cat([new, graph], dim=1), edge_from_new) + z_for_edge
                edges = self.add_edge.finish(F.linear(states, edge_from_old) + shared.unsqueeze(1)).squeeze(2)
            # an edge carries messages or it does not: its gradient comes from its own score alone
            adjacency[:, t, :t] = (edges.detach() > EDGE_THRESHOLD).to(z.dtype)
            node_logits.append(types)
            edge_logits.append(edges)
            states = torch.cat([states, new.unsqueeze(1)], dim=1)
        return Decoded(torch.stack(node_logits, dim=1), torch.cat(edge_logits, dim=1))
