"""Random cells, grown operation by operation."""

import numpy as np
import torch

from agnet.spaces.graphs import INPUT, OUTPUT
from agnet.spaces.nasbench_nlp.cells import FEWEST, FIRST, MANIEST, MARKED, STATE, TYPES, Cells
from agnet.spaces.nasbench_nlp.notation import INPUTS

SIZES = {2: 13, 3: 17, 4: 122, 5: 101, 6: 180, 7: 118, 8: 161, 9: 89, 10: 95, 11: 52, 12: 31, 13: 13, 14: 7, 15: 1}
"""Number of operations -> recipes with that number, of 1,000."""

HIDDEN = (37, 46, 17)
"""Recipes with one, two and three hidden states, of 100."""

KINDS = (135, 135, 137, 47, 47, 459, 40)
"""Operations of every kind, of 1,000 in the recipes."""

TWO = 0.8
"""Share of linear operations with two sources; the others have three."""

EAGER = 3.0
"""Log-odds by which an operation prefers sources that nothing reads yet."""


def grown(n: int, max_nodes: int, *, rng: torch.Generator | None) -> Cells:
    """Random candidates, some of which are not cells.

    The number of operations, the number of hidden states and the operations are drawn with their frequencies in the
    benchmark's recipes. Every operation reads random earlier nodes and prefers those that nothing reads yet by
    :data:`EAGER`. Operations that nothing reads in the end become hidden states; if they are too few, random ones join.
    """
    rows, position = np.arange(n), np.arange(max_nodes)
    sizes = {size: often for size, often in SIZES.items() if size <= max_nodes - INPUTS - 1}
    count = _choice(sizes, n, rng)
    states = np.minimum(_choice(dict(enumerate(HIDDEN, start=1)), n, rng), count)
    kinds = _choice(dict(enumerate(KINDS, start=FIRST)), (n, max_nodes), rng)
    noise = torch.rand(n, max_nodes, max_nodes, generator=rng, dtype=torch.float64, device="cpu").numpy()
    wish = -np.log(-np.log(noise.clip(1e-300, 1 - 1e-16)))  # Gumbel: the largest are drawn without replacement
    linear = np.where(
        torch.rand(n, max_nodes, generator=rng, dtype=torch.float32, device="cpu").numpy() < TWO,
        2,
        MANIEST[TYPES["linear"]],
    )
    marked = (torch.rand(n, generator=rng, dtype=torch.float64, device="cpu").numpy() * states).astype(np.int64)
    types = np.full((n, max_nodes), OUTPUT)
    types[:, 0], types[:, 1:INPUTS], types[rows, 1 + marked] = INPUT, STATE, MARKED
    edges = np.zeros((n, max_nodes, max_nodes), dtype=bool)
    unread = (position < INPUTS) & (position <= states[:, None])
    present = unread.copy()
    for node in range(INPUTS, max_nodes - 1):
        growing = node < INPUTS + count
        kind = np.where(FEWEST[kinds[:, node]] > present.sum(axis=1), TYPES["linear"], kinds[:, node])
        degree = np.minimum(np.where(kind == TYPES["linear"], linear[:, node], FEWEST[kind]), present.sum(axis=1))
        score = np.where(present, wish[:, :, node] + EAGER * unread, -np.inf)
        chosen = np.argsort(np.argsort(-score, axis=1), axis=1) < (degree * growing)[:, None]
        edges[:, :, node] = chosen
        unread &= ~chosen
        types[growing, node] = kind[growing]
        present[growing, node] = unread[growing, node] = True
    output = INPUTS + count
    score = np.where(present & (position >= INPUTS), wish[rows, :, output] + 1e6 * unread, -np.inf)
    edges[rows, :, output] = np.argsort(np.argsort(-score, axis=1), axis=1) < states[:, None]
    return Cells(types, edges, output + 1)


def _choice(weights: dict[int, int], shape: int | tuple[int, ...], rng: torch.Generator | None) -> np.ndarray:
    """Keys drawn in proportion to their weights."""
    bounds = np.cumsum(list(weights.values()))
    drawn = torch.rand(shape, generator=rng, dtype=torch.float64, device="cpu").numpy() * bounds[-1]
    return np.array(list(weights))[np.searchsorted(bounds, drawn, side="right")]
