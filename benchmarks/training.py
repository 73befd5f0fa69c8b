"""What does training many small networks side by side save?

``python -m benchmarks.training``: the same architectures of the digits protocol, one at a time against stacks.
"""

import torch

from agnet.spaces import NASBench201
from benchmarks.timing import alternate, line, one_thread
from evaluation.data import digits
from evaluation.network import NetworkShape
from evaluation.stack import NetworkStack
from evaluation.train import Recipe, train

COUNT = 16


def main() -> None:
    """Print images per CPU-second for stacks of 1, 4 and 16."""
    one_thread()
    space, images = NASBench201(), digits()
    cells = space.sample(COUNT, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(epochs=1)
    trained = COUNT * recipe.epochs * (len(images.train) // recipe.batch_size) * recipe.batch_size
    for channels in (4, 8):
        shape = NetworkShape(images.num_classes, images.in_channels, channels, 1, images.mean, images.std)

        def fit(size: int, shape: NetworkShape = shape) -> None:
            for first in range(0, COUNT, size):
                train(NetworkStack(cells[first : first + size], shape, seed=0), images.train, recipe, seed=0)

        seconds = alternate({str(size): lambda size=size: fit(size) for size in (1, 4, 16)}, runs=3)
        for size, values in seconds.items():
            rate = trained / sorted(values)[1]
            ratio = sorted(seconds["1"])[1] / sorted(values)[1]
            print(line(f"C={channels}, stacks of {size}", values), f" {rate:7.0f} images/s, {ratio:.2f}x")


if __name__ == "__main__":
    main()
