"""What do the shipped generators draw, space by space: validity, distinct cells, latent information, and cost?

``python -m benchmarks.draws [--draws 10000] [SPACE ...]`` prints a table. It times a draw as a search needs it: a
latent vector from the prior is decoded, a graph is drawn from its scores, repaired by the space and written as a
string. The other columns are those of :func:`agnet.generator.quality.assess`. Spaces are those of ``conf/space`` with a
generator in ``checkpoints/``.
"""

import argparse
import statistics

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from agnet.generator.checkpoints import generator_file, load_generator
from agnet.generator.model import AbstractGenerator
from agnet.generator.quality import assess
from agnet.generator.sampling import generate
from agnet.runtime.paths import CHECKPOINT_DIR, CONF_DIR
from agnet.spaces.base import AbstractSpace
from benchmarks.timing import cpu_seconds, one_thread

SHARES = {
    "validity": "valid as drawn",
    "likeliest_validity": "likeliest valid",
    "repaired_validity": "repaired valid",
    "reconstruction": "reconstructed",
}


def draw(model: AbstractGenerator, space: AbstractSpace, draws: int) -> list[str | None]:
    """Strings of ``draws`` draws; None if repair failed."""
    rng = torch.Generator().manual_seed(0)
    graphs, decoded = generate(model, model.prior(draws, rng=rng), rng=rng)
    return space.decode(space.repair(graphs, nodes=decoded.nodes, edges=decoded.edges))


def row(space: AbstractSpace, draws: int) -> list[str]:
    """The table's row for a space."""
    model, _ = load_generator(space)
    seconds = cpu_seconds(lambda: draw(model, space, draws), runs=3)
    found = assess(model, space, draws=draws, rng=torch.Generator().manual_seed(0))
    return [
        space.name,
        f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})",
        *(f"{found[key]:.2%}" for key in SHARES),
        f"{found['repaired_distinct']:,}",
        f"{found['latent_information_mean']:.2f}",
    ]


def main() -> None:
    """Print the table."""
    names = sorted(path.stem for path in (CONF_DIR / "space").glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spaces", nargs="*", default=names, help="names of conf/space; all by default")
    parser.add_argument("--draws", type=int, default=10_000)
    args = parser.parse_args()
    one_thread()
    columns = ["space", f"CPU-s for {args.draws:,}", *SHARES.values(), "distinct", "nats a free node"]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for name in args.spaces:
        space: AbstractSpace = instantiate(OmegaConf.load(CONF_DIR / "space" / f"{name}.yaml"))
        if (CHECKPOINT_DIR / generator_file(space)).is_file():
            print("| " + " | ".join(row(space, args.draws)) + " |", flush=True)


if __name__ == "__main__":
    main()
