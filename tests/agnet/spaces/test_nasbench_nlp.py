import gzip
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.generator.model import Decoded
from agnet.generator.sampling import likeliest_graphs, sample_graphs
from agnet.runtime.paths import ROOT
from agnet.spaces.graphs import INPUT, Graphs, slot_index
from agnet.spaces.nasbench_nlp.notation import parse
from agnet.spaces.nasbench_nlp.recipes import Recipe, _order, from_recipe, to_recipe
from agnet.spaces.nasbench_nlp.space import NASBenchNLP

DATA = ROOT.parent / "shared" / "data" / "nasbenchnlp_recipes.json.gz"

RNN = {
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]},
}
LSTM = {
    "i": {"op": "linear", "input": ["x", "h_prev_0"]},
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "i_act": {"op": "activation_sigm", "input": ["i"]},
    "f_act": {"op": "activation_sigm", "input": ["f"]},
    "kept": {"op": "elementwise_prod", "input": ["f_act", "h_prev_1"]},
    "h_new_1": {"op": "elementwise_sum", "input": ["kept", "i_act"]},
    "c": {"op": "activation_tanh", "input": ["h_new_1"]},
    "h_new_0": {"op": "elementwise_prod", "input": ["c", "f_act"]},
}
GATED = {  # the gate is computed first, and numbered last
    "z": {"op": "linear", "input": ["x", "h_prev_0"]},
    "gate": {"op": "activation_sigm", "input": ["z"]},
    "value": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "blend", "input": ["gate", "h_prev_0", "value"]},
}


@pytest.fixture(scope="module")
def space() -> NASBenchNLP:
    return NASBenchNLP()


@pytest.fixture(scope="module")
def drawn(space: NASBenchNLP) -> list[str]:
    return space.sample(2000, rng=torch.Generator().manual_seed(5))


def edges_of(graphs: Graphs) -> set[tuple[int, int]]:
    source, target = slot_index(graphs.max_nodes)
    return {(int(source[i]), int(target[i])) for i in graphs.edges[0].nonzero()[:, 0]}


def unnamed(recipe: Any) -> Counter[Any]:
    """A recipe as a multiset of expressions, in which order matters to blends alone and states keep their roles."""

    def expression(name: str) -> Any:
        if name not in recipe:
            return name if name in ("x", "h_prev_0") else "h_prev"
        node = recipe[name]
        read = [expression(source) for source in node["input"]]
        return (node["op"], *(read if node["op"] == "blend" else sorted(read, key=repr)))

    return Counter((name == "h_new_0", name.startswith("h_new"), expression(name)) for name in recipe)


def test_the_graph_of_a_recipe(space: NASBenchNLP) -> None:
    text = from_recipe(LSTM)
    assert text == (
        "linear(0,2)|linear(0,2)|sigm(4)|sigm(5)|prod(1,7)|sum(6,8)|tanh(9)|prod(7,10)|output(9,*11)"
    )  # the first state that the output reads, node 9, is the next value of node 1
    graphs = space.encode([text])
    types = [space.node_types[k] for k in graphs.node_types[0].tolist()]
    assert types[:7] == ["input", "h_prev", "h_prev_0", "h_prev", "linear", "linear", "sigm"]
    assert types[12] == "output"
    edges = edges_of(graphs)
    assert {u for u, v in edges if v == 12} == {9, 11}
    assert {u for u, v in edges if v == 8} == {1, 7}
    assert not {e for e in edges if 3 in e}, "a hidden state that the cell does not have"


def lost_blends(recipe: Recipe) -> int:
    """Number of a recipe's blends that read their sources in another order once the recipe is a string."""
    order = _order(recipe)
    back = to_recipe(from_recipe(recipe))
    name = dict(zip(back, order, strict=True))
    states = {new.replace("new", "prev"): old.replace("new", "prev") for new, old in name.items()}
    blends = [(new, node["input"]) for new, node in back.items() if node["op"] == "blend"]
    return sum([(name | states).get(s, s) for s in read] != list(recipe[name[new]]["input"]) for new, read in blends)


@pytest.mark.parametrize("recipe", [RNN, LSTM, GATED])
def test_recipes_and_back(recipe: dict[str, Any], space: NASBenchNLP) -> None:
    text = from_recipe(recipe)
    assert space.decode(space.encode([text])) == [text]
    assert unnamed(to_recipe(text)) == unnamed(recipe)
    assert from_recipe(to_recipe(text)) == text
    assert lost_blends(recipe) == 0


def test_a_gate_that_no_numbering_puts_last_is_counted() -> None:
    recipe = {**GATED, "h_new_0": {"op": "blend", "input": ["h_prev_0", "gate", "value"]}}
    assert lost_blends(recipe) == 1
    assert from_recipe(recipe).endswith("|blend(1,5,6)|output(*7)")
    assert to_recipe(from_recipe(recipe))["h_new_0"]["input"] == ["node_6", "h_prev_0", "node_5"]


def test_random_cells_are_recipes(drawn: list[str]) -> None:
    for text in drawn[:200]:
        recipe = to_recipe(text)
        assert lost_blends(recipe) == 0
        assert unnamed(to_recipe(from_recipe(recipe))) == unnamed(recipe)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f": {"op": "gelu", "input": ["x"]}}, "gelu"),
        ({"f": {"op": "linear", "input": ["x", "nowhere"]}}, "nowhere"),
        ({"f": {"op": "linear", "input": ["x", "x"]}}, "reads"),
        ({"f": {"op": "linear", "input": []}}, "reads"),
        ({"f": {"op": "linear", "input": ["x", "h_new_0"]}}, "circle"),
        ({"f": {"op": "linear"}}, "node 'f'"),
        ({"h_new_2": {"op": "activation_tanh", "input": ["f"]}}, r"\[0, 2\]"),
        ({"f": {"op": "linear", "input": ["x", "h_prev_1"]}}, "h_prev_1"),
    ],
)
def test_other_recipes_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArchitecture, match=words):
        from_recipe({**RNN, **change})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tanh(0,1)|output(*4)", "two sources of an activation"),
        ("linear(0)|tanh(1)|sum(4,5)|output(*6)", "one source of a linear"),
        ("linear(0,1)|linear(0,1)|sum(0,4,5)|output(*6)", "three of a sum"),
        ("linear(0,1)|blend(0,4)|output(*5)", "two of a blend"),
        ("linear(0,1)|tanh(4)|sigm(4)|output(*5)", "a node that nothing reads"),
        ("linear(0,2)|output(*4)", "a hidden state without a new value, and one that is not read"),
        ("linear(0,1)|tanh(4)|output(*4,5)", "a state that is not read"),
        ("linear(1,2)|tanh(4)|output(*4,5)", "an input that is not read"),
        ("linear(0,1)|output(0,*4)", "an input as new state"),
        ("linear(0,1)|tanh(4)|output(5)", "no h_new_0"),
        ("linear(0,1)|tanh(4)|output(*5)|output(*6)", "two outputs"),
        ("linear(1,0)|tanh(4)|output(*5)", "sources out of order"),
        ("linear(0,1)|tanh(5)|output(*5)", "a node that reads itself"),
        ("linear(0,1)|*tanh(4)|output(*5)", "a mark elsewhere"),
        ("linear(0,01)|tanh(4)|output(*5)", "a number written otherwise"),
        ("linear(0,1,2,3)|tanh(4)|sigm(4)|sum(5,6)|prod(5,6)|output(5,6,7,*8)", "four states"),
        ("linear(0,1)" + "".join(f"|tanh({k})" for k in range(4, 24)) + "|output(*24)", "26 nodes"),
    ],
)
def test_rules_are_applied(text: str, reason: str, space: NASBenchNLP) -> None:
    with pytest.raises(InvalidArchitecture):
        space.encode([text])


def test_the_largest_cell(space: NASBenchNLP) -> None:
    text = "linear(0,1)" + "".join(f"|tanh({k})" for k in range(4, 23)) + "|output(*23)"
    assert len(parse(text)) == 21
    assert space.decode(space.encode([text])) == [text]
    assert text not in space.neighbors(text)
    with pytest.raises(InvalidArchitecture, match="max_nodes"):
        NASBenchNLP(24).encode([text])
    with pytest.raises(ConfigurationError, match=r"space\.max_nodes=4"):
        NASBenchNLP(4)


def test_a_graph_with_one_edge_less_or_more_is_told(space: NASBenchNLP) -> None:
    """What decodes is another cell, and whatever is no cell does not."""
    text = from_recipe(LSTM)
    graphs, cells = space.encode([text]), set()
    for slot in range(space.num_slots):
        edges = graphs.edges.clone()
        edges[0, slot] ^= True
        [other] = space.decode(Graphs(graphs.node_types, edges))
        beyond = int(slot_index(space.max_nodes)[1][slot]) > 12
        assert (other == text) == beyond, "slots beyond the output are not part of a graph"
        if other not in (None, text):
            cells.add(other)
            assert space.decode(space.encode([other])) == [other]
    assert cells
    assert all("linear(0,1,2)" in other or "output(" in other for other in cells)


def test_random_growth_is_like_the_recipes(drawn: list[str]) -> None:
    sizes = np.array([len(parse(text)) - 1 for text in drawn])
    states = np.array([len(parse(text)[-1].sources) for text in drawn])
    assert 6.7 < sizes.mean() < 7.8  # the recipes: 7.24
    assert sizes.max() > 12
    shares = np.bincount(states, minlength=4)[1:] / len(states)
    assert shares == pytest.approx([0.37, 0.46, 0.17], abs=0.07)
    names = Counter(part.name for text in drawn for part in parse(text)[:-1])
    assert names["linear"] / names.total() == pytest.approx(0.46, abs=0.03)
    assert {part.marked for text in drawn for part in parse(text)[-1:]} == {0, 1, 2}


def test_scores_of_any_kind_are_repaired(space: NASBenchNLP) -> None:
    """Without any training, two thirds of what is drawn from random scores become cells."""
    rng = torch.Generator().manual_seed(2)
    decoded = Decoded(
        torch.randn(300, space.max_nodes, space.num_types, generator=rng),
        torch.randn(300, space.num_slots, generator=rng) - 1,
    )
    graphs = sample_graphs(decoded, rng=rng)
    assert int(space.is_valid(graphs).sum()) < 10
    repaired = space.repair(graphs, nodes=decoded.nodes, edges=decoded.edges)
    assert int(space.is_valid(repaired).sum()) > 200
    assert bool((repaired.node_types[:, 0] == INPUT).all())


def test_repair_changes_little(space: NASBenchNLP, drawn: list[str]) -> None:
    """An edge too many goes, one too few comes back where its score says so."""
    graphs = space.encode(drawn[:500])
    nodes = 8.0 * torch.nn.functional.one_hot(graphs.node_types, space.num_types).float()
    scores = 8.0 * (2 * graphs.edges.float() - 1)
    assert space.decode(likeliest_graphs(Decoded(nodes, scores), space)) == drawn[:500]
    rng = torch.Generator().manual_seed(0)
    edges = graphs.edges.clone()
    for row in range(len(graphs)):
        present = edges[row].nonzero()[:, 0]
        edges[row, present[int(torch.randint(len(present), (1,), generator=rng))]] = False
    repaired = space.decode(space.repair(Graphs(graphs.node_types, edges), nodes=nodes, edges=scores))
    assert np.mean([a == b for a, b in zip(repaired, drawn, strict=False)]) > 0.6
    assert np.mean([a is not None for a in repaired]) > 0.98


def test_neighbors_reach_other_sizes(space: NASBenchNLP) -> None:
    text = "linear(0,1)|tanh(4)|output(*5)"
    near = space.neighbors(text)
    assert {len(parse(other)) for other in near} == {2, 3, 4}
    assert {"linear(0,1)|output(*4)", "sum(0,1)|tanh(4)|output(*5)", "linear(0,1)|sum(0,4)|output(*5)"} < set(near)


def test_it_cannot_be_enumerated(space: NASBenchNLP) -> None:
    assert space.size is None
    with pytest.raises(ConfigurationError, match="enumerated"):
        space.enumerate()


@pytest.mark.data
@pytest.mark.slow
def test_all_recipes_at_hand_are_cells(space: NASBenchNLP) -> None:
    if not DATA.is_file():
        pytest.skip(f"no {DATA}")
    recipes = [entry["recipe"] for entry in json.loads(gzip.decompress(DATA.read_bytes())).values()]
    texts = [from_recipe(recipe) for recipe in recipes]
    assert space.decode(space.encode(texts)) == texts
    lost = [lost_blends(recipe) for recipe in recipes]
    assert (len(recipes), sum(count > 0 for count in lost)) == (4322, 644)
    for recipe, text, count in list(zip(recipes, texts, lost, strict=True))[::10]:
        assert from_recipe(to_recipe(text)) == text
        if not count:
            assert unnamed(to_recipe(text)) == unnamed(recipe)
