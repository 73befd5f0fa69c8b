"""The benchmark's recipes: dictionaries of named nodes, each with its operation and the names it reads."""

from collections.abc import Mapping
from typing import Any

from agnet.errors import quoted
from agnet.spaces.nasbench_nlp.notation import OPERATIONS, STATES, Part, invalid, parse, text

Recipe = Mapping[str, Mapping[str, Any]]
"""Name of a node -> ``{"op": ..., "input": [names]}``; ``x`` and ``h_prev_i`` are given, ``h_new_i`` are results."""

_MOST = 1000
_PREFIXES = ("activation_", "activation_", "activation_", "elementwise_", "elementwise_", "", "")
_WORDS: dict[str, str] = {name: prefix + name for prefix, name in zip(_PREFIXES, OPERATIONS, strict=True)}
_NAMES = {word: name for name, word in _WORDS.items()}


def from_recipe(recipe: Recipe) -> str:
    """String of a recipe: nodes in the recipe's order, except that sources and blends may need another one.

    Raises:
        InvalidArchitecture: if the recipe does not have the benchmark's form. Encoding checks whether it is a cell of
            the space.

    Example:
        >>> from_recipe({"f": {"op": "linear", "input": ["x", "h_prev_0"]},
        ...              "h_new_0": {"op": "activation_tanh", "input": ["f"]}})
        'linear(0,1)|tanh(4)|output(*5)'
    """
    _check(recipe)
    order = _order(recipe)
    states = [name for name in order if _state(name, "h_new_") is not None]
    number = {"x": 0} | {f"h_prev_{_state(name, 'h_new_')}": j for j, name in enumerate(states, start=1)}
    number |= {name: j for j, name in enumerate(order, start=4)}
    try:
        parts = [text(_NAMES[recipe[name]["op"]], _ascending(recipe[name]["input"], number)) for name in order]
    except KeyError as error:
        raise invalid(recipe, f"it reads {quoted(error.args[0])}, which it does not compute") from None
    return "|".join([*parts, text("output", tuple(number[name] for name in states), states.index("h_new_0"))])


def to_recipe(architecture: str) -> dict[str, dict[str, Any]]:
    """Recipe of a string: the inverse of :func:`from_recipe`, except for the names.

    Raises:
        InvalidArchitecture: if the text does not follow this notation.

    Example:
        >>> to_recipe("linear(0,1)|tanh(4)|output(*5)")["h_new_0"]
        {'op': 'activation_tanh', 'input': ['node_4']}
    """
    *operations, output = parse(architecture)
    others = iter(range(1, STATES + len(output.sources)))
    states = [0 if j == output.marked else next(others) for j in range(len(output.sources))]
    name = {0: "x"} | {j: f"h_prev_{state}" for j, state in enumerate(states, start=1)}
    name |= {j: f"node_{j}" for j in range(4, 4 + len(operations))}
    name |= {node: f"h_new_{state}" for node, state in zip(output.sources, states, strict=True)}
    try:
        return {name[j]: _entry(part, name) for j, part in enumerate(operations, start=4)}
    except KeyError as error:
        raise invalid(architecture, f"it reads hidden state {error}, which it does not compute") from None


def _entry(part: Part, name: Mapping[int, str]) -> dict[str, Any]:
    sources = [name[node] for node in part.sources]
    if part.name == "blend" and len(sources) == 3:
        sources = [sources[2], *sources[:2]]
    return {"op": _WORDS[part.name], "input": sources}


def _check(recipe: Recipe) -> None:
    if not isinstance(recipe, Mapping):
        raise invalid(recipe, "it is no dictionary of nodes")
    if len(recipe) > _MOST:
        raise invalid("...", f"it has {len(recipe)} nodes, more than the {_MOST} of any recipe")
    for name, node in recipe.items():
        if (
            not isinstance(node, Mapping)
            or str(node.get("op")) not in _NAMES
            or not isinstance(node.get("input"), list)
        ):
            raise invalid(recipe, f"node {quoted(name)} is {quoted(node)}")
        if not isinstance(name, str) or not all(isinstance(source, str) for source in node["input"]):
            raise invalid(recipe, f"node {quoted(name)} reads {quoted(node['input'])}")
        if not node["input"] or len({*map(str, node["input"])}) < len(node["input"]):
            raise invalid(recipe, f"node {quoted(name)} reads {quoted(node['input'])}")
    states = sorted(state for name in recipe if (state := _state(name, "h_new_")) is not None)
    if not states or states != list(range(len(states))):
        raise invalid(recipe, f"it computes the hidden states {quoted(states)}")


def _state(name: str, prefix: str) -> int | None:
    number = name.removeprefix(prefix)
    return (
        int(number) if name.startswith(prefix) and number.isdecimal() and number.isascii() and len(number) < 9 else None
    )


def _ascending(names: list[str], number: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sorted(number[name] for name in names))


def _order(recipe: Recipe) -> list[str]:
    """Nodes after their sources, and gates of blends after the blended nodes if possible."""
    before = {name: {u for u in node["input"] if u in recipe} for name, node in recipe.items()}
    for node in recipe.values():
        if node["op"] == "blend" and len(node["input"]) == 3:
            gate, first, second = node["input"]
            for u, v in ((first, gate), (second, gate), (first, second)):
                if u in recipe and v in recipe and not _reaches(before, v, u):
                    before[v].add(u)
    order: list[str] = []
    waiting = list(recipe)
    while waiting:
        ready = next((name for name in waiting if before[name].issubset(order)), None)
        if ready is None:
            raise invalid(recipe, f"{quoted(waiting)} read one another in a circle")
        order.append(ready)
        waiting.remove(ready)
    return order


def _reaches(before: Mapping[str, set[str]], source: str, target: str) -> bool:
    """Whether the source comes before the target."""
    seen, left = set(), [target]
    while left:
        name = left.pop()
        if name == source:
            return True
        if name not in seen:
            seen.add(name)
            left.extend(before[name])
    return False
