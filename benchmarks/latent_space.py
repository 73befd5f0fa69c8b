"""How much information do latent vectors carry under each pairing, and what does the latent space look like?

``python -m benchmarks.latent_space pairings`` pretrains a generator with each pairing of ``conf/pairing`` for the same
number of steps. It measures validity, information, reconstruction, smoothness, and the correlation of latent distance
with the difference in the first column. ``python -m benchmarks.latent_space figures`` draws a plane through the shipped
generator's latent space, coloured by two columns, and cells along straight lines. ``--into FILE.md`` puts the table
there.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agnet.generator.checkpoints import load_generator
from agnet.generator.inversion import invert
from agnet.generator.model import GraphGenerator
from agnet.generator.pretrain import Schedule, pretrain
from agnet.generator.quality import assess
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.runtime.paths import CHECKPOINT_DIR, CONF_DIR
from agnet.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201, parse
from agnet.tables.table import read_table
from search.columns import label
from search.correlation import spearman
from search.document import insert

SPACE = NASBench201()
SHOWN = {
    "likeliest_validity": "valid",
    "likeliest_distinct": "distinct of 10,000",
    "latent_information_mean": "information, nats a node (of 1.61)",
    "reconstruction": "reconstruction",
    "segment_changes": "changes along a segment",
    "segment_step": "largest step",
}
PAIRS = 4000
COLOURS = dict(zip(OPERATIONS, ("#4c8bc0", "#123f7a", "#d08b2c", "#8a9099", "#e3e5e8"), strict=True))


def distances(model: GraphGenerator, column: dict[str, float]) -> float:
    """Rank correlation of latent distance with the difference in a column, over random pairs of cells."""
    rng = torch.Generator().manual_seed(1)
    cells = [a for a in SPACE.sample(600, rng=rng) if a in column]
    z = invert(model, SPACE.encode(cells), rng=rng)
    first, second = torch.randint(len(cells), (2, PAIRS), generator=rng)
    values = torch.tensor([column[a] for a in cells], dtype=torch.float64)
    ranks = values.argsort().argsort().double()  # by value, outliers at the bottom would dominate
    found = spearman((z[first] - z[second]).norm(dim=1).double(), (ranks[first] - ranks[second]).abs())
    return float("nan") if found is None else found


def pairings(steps: int, column: dict[str, float]) -> str:
    """A table with one row for each pairing."""
    rows = []
    for name in sorted(p.stem for p in (CONF_DIR / "pairing").glob("*.yaml")):
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
            pairing = instantiate(compose("pretrain", overrides=[f"pairing={name}", "out=x"]).pairing)
        torch.manual_seed(0)
        model = GraphGenerator(SPACE.num_types, SPACE.max_nodes)
        rng = torch.Generator().manual_seed(0)
        begin = time.process_time()
        pretrain(model, SPACE, Schedule(steps=steps), pairing, rng=rng)
        seconds = time.process_time() - begin
        found = assess(model, SPACE, rng=rng)
        cells = [f"{found[key]:.4g}" for key in SHOWN]
        rows.append(f"| {name} | {' | '.join(cells)} | {distances(model, column):.2f} | {seconds:.0f} |")
        print(rows[-1], flush=True)
    head = f"| pairing | {' | '.join(SHOWN.values())} | distance and difference, Spearman | CPU-s |"
    return "\n".join([head, "|---" * (len(SHOWN) + 3) + "|", *rows])


def plane(axes: list[Axes], model: GraphGenerator, columns: dict[str, dict[str, float]], side: int = 220) -> None:
    """Draw the plane through the latent vectors of the best cells by two columns and of a poor cell."""
    names = list(columns)
    best = [max(columns[name], key=lambda a: columns[name][a]) for name in names]
    ordered = sorted(columns[names[0]], key=lambda a: columns[names[0]][a])
    anchors = [*best, ordered[len(ordered) // 10]]
    z = invert(model, SPACE.encode(anchors), rng=torch.Generator().manual_seed(0))
    x_axis = (z[1] - z[0]) / (z[1] - z[0]).norm()
    y_axis = (z[2] - z[0]) - ((z[2] - z[0]) @ x_axis) * x_axis
    y_axis = y_axis / y_axis.norm()
    places = torch.stack([(z - z[0]) @ x_axis, (z - z[0]) @ y_axis], dim=1)
    low, high = places.min(dim=0).values - 2.5, places.max(dim=0).values + 2.5
    grid = [torch.linspace(float(low[i]), float(high[i]), side) for i in range(2)]
    y, x = torch.meshgrid(grid[1], grid[0], indexing="ij")
    points = z[0] + x.reshape(-1, 1) * x_axis + y.reshape(-1, 1) * y_axis
    cells = SPACE.decode(likeliest_graphs(decode(model, points)))
    for axis, name in zip(axes, names, strict=True):
        values = [np.nan if a is None else columns[name].get(a, np.nan) for a in cells]
        everything = np.array(list(columns[name].values()))
        image = axis.imshow(
            np.array(values).reshape(side, side),
            origin="lower",
            extent=(float(low[0]), float(high[0]), float(low[1]), float(high[1])),
            vmin=float(np.quantile(everything, 0.05)),
            vmax=float(everything.max()),
            cmap="viridis",
            interpolation="nearest",
            aspect="equal",
        )
        for place, text in zip(places.tolist(), [*(f"best {n}" for n in names), "a poor cell"], strict=True):
            left = place[0] < float(low[0] + high[0]) / 2
            axis.plot(*place, marker="o", color="white", markeredgecolor="black", markersize=6)
            axis.annotate(
                text, place, xytext=(6 if left else -6, 6), ha="left" if left else "right", fontsize=7.5,
                textcoords="offset points", color="white",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.6, "linewidth": 0},
            )  # fmt: skip
        axis.set_title(label(name), fontsize=10)
        axis.set_xlabel("latent direction from the first to the second")
        axis.set_ylabel("latent direction to the poor cell")
        axis.figure.colorbar(image, ax=axis, shrink=0.85)


def draw_cell(axis: Axes, architecture: str) -> None:
    """Draw the four nodes of a cell and its operations as coloured arcs, without ``none`` operations."""
    for (source, target), operation in zip(EDGES, parse(architecture), strict=True):
        if operation != "none":
            bend = {1: 0.0, 2: -0.55, 3: -0.75}[target - source] * (1 if source == 0 else -1)
            axis.annotate(
                "", (target, 0), (source, 0),
                arrowprops={
                    "arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "color": COLOURS[operation],
                    "linewidth": 2.2, "shrinkA": 5, "shrinkB": 5,
                },
            )  # fmt: skip
    axis.plot(range(4), [0] * 4, "o", color="black", markersize=4.5)
    axis.set_xlim(-0.4, 3.4)
    axis.set_ylim(-1.35, 1.35)
    axis.set_axis_off()


def strip(model: GraphGenerator, ends: tuple[str, str], points: int = 400) -> list[str]:
    """Cells along the straight line between the latent vectors of two cells, without repeats."""
    z = invert(model, SPACE.encode(list(ends)), rng=torch.Generator().manual_seed(0))
    way = torch.linspace(0, 1, points)[:, None] * (z[1] - z[0]) + z[0]
    found = [a for a in SPACE.decode(likeliest_graphs(decode(model, way))) if a is not None]
    return list(dict.fromkeys(found))


def save(figure: Figure, path: Path) -> None:
    """Write a PNG and print its path."""
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    print(f"written to {path}")


def figures(columns: dict[str, dict[str, float]], out: Path) -> None:
    """Draw both figures of ``docs/method.md``."""
    model, _ = load_generator(SPACE)
    figure = Figure(figsize=(11.5, 4.4), layout="constrained")
    plane(list(figure.subplots(1, 2)), model, columns)
    save(figure, out / "latent_plane.png")

    names = list(columns)
    pairs = []
    for name in names:
        ordered = sorted(columns[name], key=lambda a: columns[name][a])
        pairs.append((ordered[len(ordered) // 10], ordered[-1]))
    strips = [strip(model, pair) for pair in pairs]
    width = max(map(len, strips))
    figure = Figure(figsize=(1.6 * width, 1.45 * len(strips) + 0.4), layout="constrained")
    axes = figure.subplots(len(strips), width, squeeze=False)
    for row, (name, cells) in enumerate(zip(names, strips, strict=True)):
        for axis, cell in zip(axes[row], cells, strict=False):
            draw_cell(axis, cell)
            axis.set_title(f"{columns[name].get(cell, float('nan')):.1f} %", fontsize=10)
        for axis in axes[row, len(cells) :]:
            axis.set_axis_off()
        axes[row, 0].text(-0.05, 0.5, name, transform=axes[row, 0].transAxes, rotation=90, va="center", fontsize=9)
    handles = [
        axes[0, 0].plot([], [], color=colour, linewidth=3, label=operation)[0]
        for operation, colour in COLOURS.items()
        if operation != "none"
    ]
    figure.legend(handles=handles, loc="outside lower center", ncol=4, frameon=False, fontsize=9)
    save(figure, out / "latent_strips.png")


def read_columns(tables: list[Path], names: list[str]) -> dict[str, dict[str, float]]:
    """Values of some columns, by architecture."""
    table = read_table(tables, names)
    return {
        name: dict(zip(table.rows, table.values[:, i].tolist(), strict=True)) for i, name in enumerate(table.columns)
    }


def main() -> None:
    """Print the table or draw the figures, and insert the table if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["pairings", "figures"])
    parser.add_argument("--table", type=Path, nargs="+", default=[CHECKPOINT_DIR / "nasbench201_digits.parquet"])
    parser.add_argument("--columns", nargs=2, default=["digits_valid", "digits_valid_pgd_eps16"])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = read_columns(options.table, options.columns)
    if options.what == "figures":
        figures(columns, options.out)
        return
    table = pairings(options.steps, columns[options.columns[0]])
    print(table)
    if options.into is not None:
        insert(options.into, "pairings", table)


if __name__ == "__main__":
    main()
