"""What is measured of trained networks: accuracy, robust accuracy, latency."""

import time
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from evaluation.attacks import AbstractAttack
from evaluation.data import Images
from evaluation.network import CellNetwork, NetworkShape
from evaluation.stack import NetworkStack


def accuracies(
    stack: NetworkStack, images: Images, attacks: Sequence[AbstractAttack], *, seed: int, batch_size: int = 100
) -> dict[str, Float[Tensor, " members"]]:
    """Clean and robust accuracy of every network of a frozen stack.

    Every attack and eps is judged on all images, the misclassified ones included, at the attack's last iterate: the
    published dataset's protocol.

    Args:
        stack: frozen networks.
        images: the split to judge on.
        attacks: attacks with their radii.
        seed: seed of the random starts; they depend on the image and the attack, not on the network.
        batch_size: images at a time.

    Returns:
        Percent correct: ``"clean"`` and ``"<attack>_eps<radius>"``, e.g. ``"pgd_eps16"`` for 16/255.
    """
    correct: dict[str, Tensor] = {}
    generators = {attack.name: torch.Generator().manual_seed(seed) for attack in attacks}
    for name, predicted, labels in _predictions(stack, images, attacks, generators, batch_size):
        correct[name] = correct.get(name, torch.zeros(len(stack), dtype=torch.float64)) + (predicted == labels).sum(
            dim=0
        )
    return {name: 100.0 * hits / len(images) for name, hits in correct.items()}


def _predictions(
    stack: NetworkStack,
    images: Images,
    attacks: Sequence[AbstractAttack],
    generators: dict[str, torch.Generator],
    batch_size: int,
) -> Iterator[tuple[str, Tensor, Tensor]]:
    def classes(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return stack(inputs).argmax(dim=-1)

    for first in range(0, len(images), batch_size):
        rows = slice(first, first + batch_size)
        inputs = images.pixels[rows].unsqueeze(1).expand(-1, len(stack), -1, -1, -1)
        labels = images.labels[rows].unsqueeze(1).expand(-1, len(stack))
        yield "clean", classes(inputs), labels
        for attack in attacks:
            sweep = attack.sweep(stack, inputs, labels, generator=generators[attack.name])
            for eps, adversarial in zip(attack.eps, sweep, strict=True):
                yield f"{attack.name}_eps{eps:g}", classes(adversarial), labels


def latency_ms(architecture: str, shape: NetworkShape, image_size: int, *, repeats: int = 40) -> float:
    """Time of one forward pass of one image, in milliseconds: eager PyTorch, one thread, evaluation mode.

    The minimum over ``repeats`` passes, because other work on the machine only ever adds time.
    """
    network = CellNetwork(architecture, shape).eval()
    image = torch.zeros(1, shape.in_channels, image_size, image_size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            network(image)
            return min(_seconds(network, image) for _ in range(repeats)) * 1e3
    finally:
        torch.set_num_threads(threads)


def _seconds(network: CellNetwork, image: Tensor) -> float:
    begin = time.perf_counter()
    network(image)
    return time.perf_counter() - begin
