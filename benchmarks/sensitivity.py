"""What do the identities behind the training-free measures save?

``python -m benchmarks.sensitivity`` takes networks with ``C=16, N=1`` and initial weights on a few noise images, so it
needs no data. It compares the input Hessian by the Jacobian with power iteration by double backward passes, all
products with the Jacobian in one batched pass with a loop, many classes by Lanczos' method with the whole Jacobian, and
the weight Hessian with its gradient's graph kept with one that rebuilds it.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import alternate, line, one_thread
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.sensitivity.input_hessian import gauss_newton_top, input_hessian_top
from evaluation.sensitivity.jacobian import class_basis, linearise, norm_along, pull_back
from evaluation.sensitivity.lanczos import Eigenvalues
from evaluation.sensitivity.table_measures import sensitivity
from evaluation.sensitivity.weight_hessian import weight_hessian_top

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


def network(num_classes: int, dtype: torch.dtype) -> CellNetwork:
    """A network with the benchmark's widths, one cell per stage and initial weights."""
    torch.manual_seed(0)
    return CellNetwork(CELL, NetworkShape(num_classes, 3, 16, 1)).to(dtype).eval()


def compare(title: str, works: dict[str, Callable[[], object]], runs: int) -> None:
    """Print the times of all works and their ratios to the first one."""
    seconds = alternate(works, runs=runs)
    first = statistics.median(next(iter(seconds.values())))
    print(f"{title}:")
    for name, values in seconds.items():
        print(line(f"  {name}", values), f" {statistics.median(values) / first:6.2f}x")


def norms_and_curvatures(model: CellNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Exact Frobenius norms and top input curvatures from one Jacobian."""
    leaf, logits = linearise(model, inputs)
    basis = class_basis(logits)
    rows = pull_back(leaf, logits, basis)
    return norm_along(rows, basis), gauss_newton_top(rows, logits)


def products(model: CellNetwork, inputs: Tensor, *, vectorised: bool) -> Tensor:
    """The Jacobian, by batched products or by a loop."""
    leaf, logits = linearise(model, inputs)
    return pull_back(leaf, logits, class_basis(logits), vectorised=vectorised)


def main() -> None:
    """Print the ratios and the agreement of the routes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    one_thread()
    torch.manual_seed(1)
    noise, labels = torch.rand(args.images, 3, 32, 32), torch.arange(args.images) % 10
    for dtype in (torch.float32, torch.float64):
        model, inputs = network(10, dtype), noise.to(dtype)

        def power(
            iterations: int, tolerance: float, model: CellNetwork = model, inputs: Tensor = inputs
        ) -> Eigenvalues:
            return input_hessian_top(model, inputs, labels, method="power", iterations=iterations, tolerance=tolerance)

        works: dict[str, Callable[[], object]] = {
            "Jacobian norm and Hessian through J": lambda m=model, x=inputs: norms_and_curvatures(m, x),
            "Hessian alone, double backward, residual 1e-4": lambda power=power: power(1000, 1e-4),
            "Hessian alone, double backward, 30 iterations": lambda power=power: power(30, 1e-30),
            "Hessian alone, double backward, 100 iterations": lambda power=power: power(100, 1e-30),
        }
        compare(f"{args.images} images, 10 classes, {dtype}", works, args.runs)
        exact = norms_and_curvatures(model, inputs)[1]
        for iterations, tolerance in ((1000, 1e-4), (30, 1e-30), (100, 1e-30)):
            difference = float(((power(iterations, tolerance).values - exact) / exact).abs().max())
            print(f"  largest relative difference, up to {iterations} iterations: {difference:.1e}")

    model = network(10, torch.float32)
    for count in (1, args.images, 4 * args.images):
        inputs = torch.rand(count, 3, 32, 32)
        compare(
            f"Jacobian of {count} images, 10 classes",
            {
                "loop of 10 backward passes": lambda x=inputs: products(model, x, vectorised=False),
                "one batched pass": lambda x=inputs: products(model, x, vectorised=True),
            },
            args.runs,
        )
    for classes in (20, 50, 100):
        many = network(classes, torch.float32)
        found = input_hessian_top(many, noise, labels, exact_classes=1)
        exact = input_hessian_top(many, noise, labels, exact_classes=classes + 1).values
        compare(
            f"input Hessian, {classes} classes",
            {
                "whole Jacobian": lambda m=many, c=classes: input_hessian_top(m, noise, labels, exact_classes=c + 1),
                "Lanczos with its products": lambda m=many: input_hessian_top(m, noise, labels, exact_classes=1),
            },
            args.runs,
        )
        difference = float(((found.values - exact) / exact).abs().max())
        print(f"  largest relative difference {difference:.1e}, all converged: {bool(found.converged.all())}")
    half = max(1, args.images // 2)
    compare(
        f"top weight curvature, {args.images} images",
        {
            "one batch, graph kept": lambda: weight_hessian_top(model, noise, labels),
            "two batches, graphs rebuilt": lambda: weight_hessian_top(model, noise, labels, batch_size=half),
        },
        args.runs,
    )
    print(sensitivity(model, noise, labels, seed=0))


if __name__ == "__main__":
    main()
