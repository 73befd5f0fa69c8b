"""What the shipped generators draw, space by space: validity, distinct cells, latent information, and at what cost.

``python -m benchmarks.draws [--draws 10000] [SPACE ...]`` prints a table. A draw is a latent vector from the prior,
decoded, drawn from its scores, mended by the space and written as a string; validity is given of graphs as they are
drawn, and mended. Spaces are those of ``conf/space`` with a generator in ``checkpoints/``.
"""

import argparse
import statistics

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from agnet.generator import AbstractGenerator, decode, likeliest_graphs, sample_graphs
from agnet.generator.quality import free_nodes, latent_information
from agnet.paths import CHECKPOINT_DIR, CONF_DIR
from agnet.spaces import AbstractSpace
from agnet.weights import generator_file, load_generator
from benchmarks.timing import cpu_seconds, one_thread

COLUMNS = (
    *("space", "draws", "CPU-s", "valid as drawn", "likeliest valid", "mended valid", "distinct"),
    *("nats a free node", "at most"),
)


def drawn(model: AbstractGenerator, space: AbstractSpace, draws: int) -> list[str | None]:
    """Strings of so many draws; None where mending failed."""
    random = torch.Generator().manual_seed(0)
    decoded = decode(model, model.prior(draws, generator=random))
    graphs = sample_graphs(decoded, generator=random)
    return space.decode(space.mend(graphs, nodes=decoded.nodes, edges=decoded.edges))


def row(space: AbstractSpace, draws: int) -> str:
    """One space's line of the table."""
    model, _ = load_generator(space)
    seconds = cpu_seconds(lambda: drawn(model, space, draws), runs=3)
    mended = [a for a in drawn(model, space, draws) if a is not None]
    random = torch.Generator().manual_seed(1)
    decoded = decode(model, model.prior(draws, generator=random))
    as_drawn = space.is_valid(sample_graphs(decoded, generator=random)).double().mean()
    likeliest = space.is_valid(likeliest_graphs(decoded)).double().mean()
    free = free_nodes(space, generator=random)
    types = space.encode(space.sample(draws, generator=random)).node_types
    entropy = torch.special.entr(torch.nn.functional.one_hot(types, space.num_types).double().mean(dim=0)).sum(dim=1)
    return (
        f"| {space.name} | {draws:,} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) "
        f"| {as_drawn:.2%} | {likeliest:.2%} | {len(mended) / draws:.2%} | {len(set(mended)):,} "
        f"| {latent_information(decoded.nodes)[free].mean():.2f} | {entropy[free].mean():.2f} |"
    )


def main() -> None:
    """Print the table."""
    names = sorted(path.stem for path in (CONF_DIR / "space").glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spaces", nargs="*", default=names, help="names of conf/space; all by default")
    parser.add_argument("--draws", type=int, default=10_000)
    args = parser.parse_args()
    one_thread()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for name in args.spaces:
        space: AbstractSpace = instantiate(OmegaConf.load(CONF_DIR / "space" / f"{name}.yaml"))
        if (CHECKPOINT_DIR / generator_file(space)).is_file():
            print(row(space, args.draws), flush=True)


if __name__ == "__main__":
    main()
