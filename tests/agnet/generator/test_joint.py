from pathlib import Path

import pytest
import torch

from agnet.generator.checkpoints import load_generator, save_generator
from agnet.generator.joint import JointGenerator
from agnet.generator.model import FIXED_LOGIT, GraphGenerator
from agnet.spaces.darts.space import DARTS
from agnet.spaces.graphs import slot_index

NODES = [(0, 1, 2, 5), (0, 3, 4, 5)]


@pytest.fixture
def part() -> GraphGenerator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GraphGenerator(5, 4, state=8, latent_size=6)


def test_parts_are_decoded_from_their_shares_and_nothing_lies_between_them(part: GraphGenerator) -> None:
    joint = JointGenerator(part, NODES)
    z = joint.prior(9, rng=torch.Generator().manual_seed(0))
    assert z.shape == (9, 12)
    decoded, parts = joint(z), [part(share) for share in z.split(6, dim=1)]
    source, target = (ends.tolist() for ends in slot_index(6))
    between = set(range(15))
    for nodes, scores in reversed(list(zip(NODES, parts, strict=True))):
        for place, node in enumerate(nodes):
            if node not in (0, 5) or scores is parts[0]:
                assert torch.equal(decoded.nodes[:, node], scores.nodes[:, place])
        for slot, (u, v) in enumerate(zip(*(ends.tolist() for ends in slot_index(4)), strict=True)):
            [whole] = [i for i in range(15) if (source[i], target[i]) == (nodes[u], nodes[v])]
            between.discard(whole)
            if (nodes[u], nodes[v]) != (0, 5) or scores is parts[0]:
                assert torch.equal(decoded.edges[:, whole], scores.edges[:, slot])
    assert {(source[i], target[i]) for i in between} == {(1, 3), (1, 4), (2, 3), (2, 4)}
    assert (decoded.edges[:, sorted(between)] == -FIXED_LOGIT).all()


def test_parts_are_copies_that_learn_apart(part: GraphGenerator) -> None:
    joint = JointGenerator(part, NODES)
    z = joint.prior(4, rng=torch.Generator().manual_seed(0)).requires_grad_()
    joint(z).nodes[:, 3].sum().backward()  # of the second part alone
    assert z.grad is not None
    assert not z.grad[:, :6].any()
    assert z.grad[:, 6:].any()
    first, second = joint.parts
    assert all(p.grad is None or not p.grad.any() for p in first.parameters())
    assert any(p.grad is not None and p.grad.any() for p in second.parameters())
    assert all(p.grad is None for p in part.parameters())


def test_a_state_is_that_of_the_parts(part: GraphGenerator) -> None:
    joint, again = JointGenerator(part, NODES), JointGenerator(part, NODES)
    with torch.no_grad():
        next(joint.parameters()).add_(1)
    assert {name.split(".")[0] for name in joint.state_dict()} == {"parts"}
    again.load_state_dict(joint.state_dict())
    z = joint.prior(3, rng=torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(joint(z), again(z), strict=True))


def test_the_generator_of_a_cell_makes_pairs(tmp_path: Path) -> None:
    pairs = DARTS()
    cells = DARTS(fixed={"reduce": pairs.sample(1, rng=torch.Generator().manual_seed(0))[0].split("/")[1]})
    path = tmp_path / "generator.safetensors"
    part = GraphGenerator(cells.num_types, cells.max_nodes, state=8, latent_size=6)
    save_generator(path, part, {})
    assert isinstance(load_generator(cells, path)[0], GraphGenerator)
    joint, _ = load_generator(pairs, path)
    assert isinstance(joint, JointGenerator)
    decoded = joint(joint.prior(5, rng=torch.Generator().manual_seed(0)))
    assert decoded.nodes.shape == (5, pairs.max_nodes, pairs.num_types)
    assert decoded.edges.shape == (5, pairs.num_slots)
