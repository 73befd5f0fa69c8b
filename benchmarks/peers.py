"""Other libraries' L-inf attacks behind one signature, with the settings of the robustness tables.

``PEERS[attack][library](model, images, labels, eps)`` returns adversarial images. The libraries are optional:
``benchmarks/README.md`` says how to install them, and a missing one is reported when its attack is called. Judge every
result with :func:`robust`: what a library counts as a success differs from the next one's.

What a comparison has to know about them (versions as installed by the README's commands):

1. Defaults are not the papers': torchattacks runs APGD for 10 iterations, and rescales Square's schedule to the number
   of queries; here APGD runs for 100 and the schedule is not rescaled, as in AutoAttack. pyautoattack restarts APGD-CE
   five times unless it runs as part of the standard version; here it is run once.
2. What comes back for an image differs: foolbox's and torchattacks' PGD and FGSM return the last iterate. adv-lib
   returns the latest misclassified iterate or, without one, the clean image; its PGD never looks at the iterate after
   the last step, and its APGD forgets a success of the random start that no later iterate repeats. APGD and Square of
   pyautoattack and torchattacks return the clean image where they failed. Mean confidences do not compare, then.
3. adv-lib's APGD halves its step more often than the paper: its "best loss at the last checkpoint" is an alias of the
   running best, so the second condition always holds.
4. Square draws one window and one colour per iteration for all images still in the batch (pyautoattack and
   torchattacks alike). The result of an image depends on its companions, hence on the batch size.
5. pyautoattack and torchattacks seed their generator again for every batch; equal positions in two batches get equal
   draws. pyautoattack takes its seed from the clock unless it gets one.
6. pyautoattack spends seven forward passes of its first batch on checks of the model, a part of its price.
"""

import importlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

INSTALL = {
    "adv_lib.attacks": "pip install --no-deps adv-lib==0.2.8",
    "foolbox": "pip install -c constraints.txt -e '.[bench]'",
    "pyautoattack": "pip install -c constraints.txt -e .",
    "torchattacks": "pip install --no-deps torchattacks==3.5.1",
}
RELATIVE_STEP = 1 / 30


@dataclass(frozen=True)
class Budget:
    """How much an attack may do and in what portions.

    Attributes:
        iterations: gradient steps, or queries of Square.
        batch_size: images at a time.
        seed: seed of the random draws.
    """

    iterations: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Peer:
    """One library's version of one attack, callable as ``peer(model, images, labels, eps)``.

    Attributes:
        run: the attack proper, ``(model, images, labels, eps, budget) -> adversarial images``.
        iterations: gradient steps (or queries of Square) of the published protocol; FGSM ignores it.
        batch_size: images at a time unless the caller says otherwise.
        frozen: whether the model's weights are marked as constants meanwhile. A network fresh from its constructor has
            trainable weights, and a library that calls ``backward()`` then differentiates them as well.
    """

    run: Callable[[nn.Module, Tensor, Tensor, float, Budget], Tensor]
    iterations: int
    batch_size: int = 128
    frozen: bool = False

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        eps: float,
        *,
        iterations: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Attack all images at one radius.

        The global random state and the model's weights, gradients and flags are afterwards what they were before.

        Args:
            model: maps images ``[n, channels, height, width]`` in [0, 1] to logits ``[n, classes]``; on the device of
                the images, in evaluation mode.
            images: clean images.
            labels: true classes ``[n]``.
            eps: L-inf radius in pixels, e.g. ``8 / 255``.
            iterations: instead of the published number.
            batch_size: instead of the library's usual one.
            seed: seed of the random starts and windows.

        Returns:
            Images within ``eps`` of the clean ones, on their device; which of the iterates is the library's choice.

        Raises:
            ModuleNotFoundError: if the library is not installed; the message has the command.
            ValueError: if the model is in training mode.
        """
        if model.training:
            raise ValueError("the model is in training mode: call model.eval() first")
        budget = Budget(
            self.iterations if iterations is None else iterations,
            self.batch_size if batch_size is None else batch_size,
            seed,
        )
        with torch.random.fork_rng([images.device] if images.is_cuda else []), _weights(model, frozen=self.frozen):
            torch.manual_seed(seed)
            return self.run(model, images, labels, eps, budget).detach()


@torch.no_grad()
def robust(model: nn.Module, images: Tensor, adversarial: Tensor, labels: Tensor, *, batch_size: int = 250) -> Tensor:
    """Which images the model classifies correctly both as they are and as they came back from an attack.

    Args:
        model: the model that was attacked, unmodified.
        images: clean images.
        adversarial: what the attack returned for them.
        labels: true classes.
        batch_size: images at a time.

    Returns:
        Booleans ``[n]``; their mean is the robust accuracy. An image misclassified from the start is not robust.
    """

    def correct(x: Tensor) -> Tensor:
        return torch.cat([model(part).argmax(dim=1) for part in x.split(batch_size)]) == labels

    return correct(images) & correct(adversarial)


def foolbox_fgsm(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """FGSM of foolbox; it also judges the result, which costs a forward pass."""
    return _foolbox(lambda attacks: attacks.FGSM(), model, images, labels, eps, budget)


def foolbox_pgd(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """PGD of foolbox with its own defaults: a uniform start, steps of eps/30, the last iterate."""
    return _foolbox(lambda attacks: attacks.LinfPGD(steps=budget.iterations), model, images, labels, eps, budget)


def torchattacks_fgsm(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """FGSM of torchattacks."""
    return _by_batch(_load("torchattacks").FGSM(model, eps=eps), images, labels, budget)


def torchattacks_pgd(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """PGD of torchattacks: a uniform start, steps of eps/30 (its default is 2/255 at every eps), the last iterate."""
    attack = _load("torchattacks").PGD(model, eps=eps, alpha=eps * RELATIVE_STEP, steps=budget.iterations)
    return _by_batch(attack, images, labels, budget)


def torchattacks_apgd_ce(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """APGD on the cross-entropy of torchattacks; its loss history goes through the CPU at every step."""
    attack = _load("torchattacks").APGD(model, eps=eps, steps=budget.iterations, seed=budget.seed, loss="ce")
    return _by_batch(attack, images, labels, budget)


def torchattacks_square(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """Square of torchattacks with AutoAttack's schedule of window sizes, which is not rescaled to the queries."""
    attack = _load("torchattacks").Square(
        model, eps=eps, n_queries=budget.iterations, resc_schedule=False, seed=budget.seed
    )
    return _by_batch(attack, images, labels, budget)


def adv_lib_pgd(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """PGD of adv-lib: a uniform start, steps of eps/30; any misclassified iterate counts but the last."""
    pgd = _load("adv_lib.attacks").pgd_linf
    return _by_batch(
        # the radius is positional: its keyword is a Greek letter here and `eps` in the library's other attacks
        lambda x, y: pgd(model, x, y, eps, steps=budget.iterations, relative_step_size=RELATIVE_STEP),
        images,
        labels,
        budget,
    )


def adv_lib_apgd_ce(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """APGD on the cross-entropy of adv-lib."""
    apgd = _load("adv_lib.attacks").apgd
    return _by_batch(
        lambda x, y: apgd(model, x, y, eps, math.inf, n_iter=budget.iterations, loss_function="ce"),
        images,
        labels,
        budget,
    )


def pyautoattack_apgd_ce(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """APGD on the cross-entropy of AutoAttack, one start."""
    return _autoattack(["apgd-ce"], model, images, labels, eps, budget)


def pyautoattack_apgd_t(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """APGD on the targeted DLR loss of AutoAttack, towards the nine likeliest wrong classes in turn."""
    return _autoattack(["apgd-t"], model, images, labels, eps, budget)


def pyautoattack_square(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """Square of AutoAttack, one start."""
    return _autoattack(["square"], model, images, labels, eps, budget)


def pyautoattack_standard(model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget) -> Tensor:
    """AutoAttack's standard version: APGD-CE, APGD-T, FAB-T and Square, each on what the ones before left over.

    Square gets 50 queries for each of the other attacks' iterations, 5,000 for the standard 100.
    """
    return _autoattack(None, model, images, labels, eps, budget)


PEERS: dict[str, dict[str, Peer]] = {
    "fgsm": {
        "foolbox": Peer(foolbox_fgsm, iterations=1),
        "torchattacks": Peer(torchattacks_fgsm, iterations=1),
    },
    "pgd": {
        "foolbox": Peer(foolbox_pgd, iterations=40),
        "foolbox, frozen weights": Peer(foolbox_pgd, iterations=40, frozen=True),
        "torchattacks": Peer(torchattacks_pgd, iterations=40),
        "adv-lib": Peer(adv_lib_pgd, iterations=40),
    },
    "apgd-ce": {
        "pyautoattack": Peer(pyautoattack_apgd_ce, iterations=100, batch_size=250),
        "torchattacks": Peer(torchattacks_apgd_ce, iterations=100),
        "adv-lib": Peer(adv_lib_apgd_ce, iterations=100),
    },
    "apgd-t": {"pyautoattack": Peer(pyautoattack_apgd_t, iterations=100, batch_size=250)},
    "square": {
        "pyautoattack": Peer(pyautoattack_square, iterations=5000, batch_size=250),
        "torchattacks": Peer(torchattacks_square, iterations=5000),
    },
    "autoattack": {"pyautoattack": Peer(pyautoattack_standard, iterations=100, batch_size=250)},
}


def _foolbox(
    make: Callable[[Any], Any], model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget
) -> Tensor:
    foolbox = _load("foolbox")
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
    attack = make(foolbox.attacks)
    return _by_batch(lambda x, y: attack(wrapped, x, y, epsilons=eps)[1], images, labels, budget)


def _autoattack(
    attacks: list[str] | None, model: nn.Module, images: Tensor, labels: Tensor, eps: float, budget: Budget
) -> Tensor:
    attack = _load("pyautoattack").AutoAttack(
        model,
        attacks=attacks,
        device=images.device,
        eps=eps,
        seed=budget.seed,
        version="standard" if attacks is None else "custom",
    )
    attack.apgd.n_restarts = 1  # "custom" leaves 5
    for part in (attack.apgd, attack.apgd_targeted, attack.fab):
        part.n_iter = budget.iterations
    attack.square.n_queries = 50 * budget.iterations if attacks is None else budget.iterations
    adversarial, _ = attack.run_standard_evaluation(images, labels, batch_size=budget.batch_size)
    return adversarial


def _by_batch(attack: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor, budget: Budget) -> Tensor:
    batches = zip(images.split(budget.batch_size), labels.split(budget.batch_size), strict=True)
    return torch.cat([attack(x, y).detach() for x, y in batches])


def _load(name: str) -> Any:
    """Import a peer's module, or say how to install it."""
    try:
        if name != "adv_lib.attacks":
            return importlib.import_module(name)
        with _stand_ins("torchvision", "visdom"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # distutils' version numbers
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"cannot import {name} ({error}); try: {INSTALL[name]}", name=error.name) from error


@contextmanager
def _stand_ins(*names: str) -> Iterator[None]:
    """Put empty modules in the place of some that are not loaded yet.

    adv-lib imports torchvision for LPIPS and visdom for plots. No attack here uses either; the real ones bring another
    build of torch and a package that does not build on a current setuptools.
    """
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        module = ModuleType(name)
        module.models = None  # type: ignore[attr-defined]  # `from torchvision import models`
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _weights(model: nn.Module, *, frozen: bool) -> Iterator[None]:
    """Make all weights constants, or all trainable; leave flags and gradients as they were."""
    before = [(weight, weight.requires_grad, weight.grad) for weight in model.parameters()]
    for weight, _, _ in before:
        weight.grad = None
        weight.requires_grad_(not frozen)
    try:
        yield
    finally:
        for weight, flag, gradient in before:
            weight.grad = gradient
            weight.requires_grad_(flag)
