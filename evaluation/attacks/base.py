"""Base classes of attacks: settings and radii, and for iterative attacks a state machine over slots.

A *slot* is one row of a batch: an image attacked at a radius. The scheduler evaluates the model at every slot's
``point`` and hands logits and gradients to :meth:`SteppedAttack.update`, which says where to evaluate next. Slots of
one batch may be at different steps and radii; nothing an attack does for one slot may depend on another.
"""

import abc
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from agnet.errors import AGNetError, ConfigurationError, InvalidInput
from evaluation.attacks.telling import told
from evaluation.randomness import code

Model = Callable[[Tensor], Tensor]
Slots = dict[str, Tensor]
Pixels = Float[Tensor, "slots channels height width"]

PUBLISHED_EPS = tuple(value / 255 for value in (0.1, 0.5, 1, 2, 3, 4, 8))
"""Radii of the published dataset's PGD, APGD and Square, in pixels."""

_DOUBTFUL_EPS = 0.05 / 255
"""Half the smallest published radius: what is smaller was probably divided by 255 twice."""


def in_units_of_255(eps: int | float) -> int | float:
    """A radius in pixels as a number of 1/255, to 15 digits.

    Example:
        >>> in_units_of_255(8 / 255), in_units_of_255(0.1 / 255)
        (8, 0.1)
    """
    value = float(f"{eps * 255:.15g}")
    return int(value) if value.is_integer() else value


Radii = float | Sequence[int | float]
"""One radius, or several."""


def radii(name: str, eps: Any) -> list[float]:
    """Radii as plain numbers: from one number or several, also of numpy or torch.

    Args:
        name: the attack's name, for the message.
        eps: the radii given.

    Raises:
        ConfigurationError: if these are no numbers.
    """
    plain: Any = eps.tolist() if hasattr(eps, "tolist") else eps
    values: list[Any] = list(plain) if isinstance(plain, Iterable) and not isinstance(plain, str) else [plain]
    values = [value.item() if getattr(value, "ndim", None) == 0 else value for value in values]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise ConfigurationError(f"attack {name}: eps={eps!r}; give a number or several, in pixels, e.g. 8 / 255")
    return [float(value) for value in values]


def whole(name: str, **settings: object) -> None:
    """Refuse settings of an attack, by name, that are not whole numbers above 0.

    Raises:
        ConfigurationError: with the first such setting.
    """
    _refuse_unless(int, "a whole number of at least 1", name, settings)


def number(name: str, **settings: object) -> None:
    """Refuse settings of an attack, by name, that are not positive finite numbers.

    Raises:
        ConfigurationError: with the first such setting.
    """
    _refuse_unless(int | float, "a number above 0", name, settings)


def _refuse_unless(kind: Any, expected: str, name: str, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < math.inf:
            raise ConfigurationError(f"attack {name}: {key}={value!r}; give {expected}")


def warn_of_doubtful(eps: Iterable[int | float]) -> None:
    """Warn of positive radii in pixels that are too small to be meant."""
    radius = next((radius for radius in eps if 0 < radius < _DOUBTFUL_EPS), None)
    if radius is not None:
        warnings.warn(
            f"eps={radius:g} is {radius * 255:g}/255: Python takes eps in pixels in [0, 1], e.g. 8 / 255; a "
            "configuration takes eps_255 in units of 1/255, e.g. 8",
            stacklevel=3,
        )


class AbstractAttack(abc.ABC):  # noqa: B024 (its two kinds have nothing in common but these settings)
    """An attack at several radii: one column of the table for each.

    Args:
        name: prefix of the columns.
        eps: one radius in pixels (``8 / 255``), or several, increasing.
        norm: the ball: ``"linf"`` bounds every pixel value, ``"l2"`` the Euclidean length of the perturbation.

    Raises:
        ConfigurationError: if there is no radius, or one is NaN, negative, infinite, above 1 in L-inf, or not in
            increasing order; if two share a column, which shows six digits; or if the norm is unknown.

    Warns:
        UserWarning: if a positive radius is below 0.05/255.
    """

    def __init__(self, name: str, eps: Radii, norm: str = "linf") -> None:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"attack {name!r}: give a name, which begins the names of its columns")
        eps = radii(name, eps)
        self.name, self.eps, self.norm = name, tuple(eps), norm
        highest = 255 if norm == "linf" else 1e6
        columns = [f"{value:g}" for value in self.eps_255]
        given = f"attack {name}: eps=[{', '.join(f'{radius:g}' for radius in eps)}] (eps_255=[{', '.join(columns)}])"
        if not eps or eps != sorted(set(eps)) or not all(0 <= radius <= highest / 255 for radius in eps):
            raise ConfigurationError(
                f"{given}; give increasing values within 0..{highest / 255:g} pixels, e.g. 8/255 "
                f"(eps_255: 0..{highest:g})"
            )
        if len(set(columns)) < len(columns):
            raise ConfigurationError(f"{given}; give values that differ within six digits")
        if norm not in ("linf", "l2"):
            raise ConfigurationError(f"attack {name}: norm={norm}; give linf or l2")
        warn_of_doubtful(self.eps)

    def __repr__(self) -> str:
        radii = ", ".join(f"{value:g}/255" for value in self.eps_255)
        return f"{type(self).__name__}({self.name}: eps {radii}, {self.norm})"

    @property
    def eps_255(self) -> tuple[int | float, ...]:
        """Radii in units of 1/255, as columns, files and messages have them."""
        return tuple(in_units_of_255(radius) for radius in self.eps)

    @property
    def stages(self) -> tuple[str, ...]:
        """Beginnings of its columns: results on the way, if it has any, and at the end its name."""
        return (self.name,)

    def describe(self) -> dict[str, object]:
        """Settings as plain values, for metadata; ``eps`` is in units of 1/255 there."""
        settings = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return {"attack": type(self).__name__, **settings, "eps": self.eps_255}


class BatchAttack(AbstractAttack):
    """An attack of any library, given as one function over a batch.

    Args:
        function: ``(model, inputs, labels, *, eps, norm, seed, **settings) -> adversarial inputs``; eps is in
            pixels.
        name: prefix of the columns.
        eps: radii in pixels, increasing.
        norm: the ball's norm, ``"linf"`` or ``"l2"``.
        settings: further arguments of the function.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        name: str,
        eps: Radii = PUBLISHED_EPS,
        norm: str = "linf",
        **settings: object,
    ) -> None:
        super().__init__(name, eps, norm)
        self.function, self.settings = function, settings

    def perturb(self, model: Model, inputs: Pixels, labels: Int[Tensor, " slots"], *, eps: float, seed: int) -> Pixels:
        """Adversarial images at one radius in pixels.

        Raises:
            InvalidInput: if the function raises, or returns something else.
        """
        given = inputs.clone(), labels.clone()  # which the function may change
        try:
            points = self.function(model, *given, eps=eps, norm=self.norm, seed=seed, **self.settings)
        except (AGNetError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise InvalidInput(f"attack {self.name} raised {told(error)}; correct it, or its settings") from error
        if not isinstance(points, Tensor) or points.shape != inputs.shape:
            raise InvalidInput(f"attack {self.name} returned no images of shape {list(inputs.shape)}")
        points = points.detach().to(inputs)
        delta = (points - inputs).flatten(1)
        size = float(delta.abs().max() if self.norm == "linf" else delta.norm(dim=1).max())
        low, high = float(points.min()), float(points.max())
        if not (size <= eps * (1 + 1e-4) + 1e-6 and low >= 0 and high <= 1):
            raise InvalidInput(
                f"attack {self.name} returned pixels within [{low:g}, {high:g}] at a distance of {size:g}; "
                f"keep them in [0, 1] and within eps={eps:g} ({self.norm})"
            )
        return points

    def describe(self) -> dict[str, object]:
        """Settings as plain values; the function by its name."""
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return {**super().describe(), "function": f"{self.function.__module__}.{name}"}


class SteppedAttack(AbstractAttack):
    """An attack as a state machine over slots.

    Attributes:
        needs_gradient: whether :meth:`update` reads the gradient of :meth:`loss`.
        needs_clean_gradient: whether :meth:`start` reads the sign of the cross-entropy's gradient at the clean image.
        attacks_misclassified: whether the published protocol attacks images that are misclassified from the start.
        stops_when_fooled: whether any misclassified point is a success; otherwise only the last point is judged.
        attempts: independent runs (restarts, targets) that a slot may need.
        evaluations: model evaluations of one run; with 0, the starting point is the result.
    """

    needs_gradient: ClassVar[bool] = True
    needs_clean_gradient: ClassVar[bool] = False
    attacks_misclassified: ClassVar[bool] = False
    stops_when_fooled: ClassVar[bool] = True
    attempts: int = 1

    @property
    @abc.abstractmethod
    def evaluations(self) -> int:
        """Model evaluations of one run."""

    @abc.abstractmethod
    def start(self, slots: Slots) -> Slots:
        """The attack's own entries of new slots; ``point`` is evaluated first.

        Args:
            slots: the new slots' ``inputs`` (clean images), ``labels``, ``eps`` (in pixels), ``attempt`` (number of the
                run, from 0), ``keys`` and ``shared_keys`` (see :mod:`evaluation.randomness`; the latter are equal for
                all images of a radius), ``clean_logits``, and ``clean_sign`` (of the clean gradient) if the attack
                asked for it. All but the last two stay in the slot.
        """

    def check_classes(self, num_classes: int) -> None:
        """Raise a ConfigurationError if the attack is not defined on so few classes."""

    def loss(self, logits: Float[Tensor, "slots classes"], slots: Slots) -> Float[Tensor, " slots"]:
        """What the attack increases."""
        raise NotImplementedError

    def update(self, slots: Slots, loss: Float[Tensor, " slots"], gradient: Pixels | None) -> Slots:
        """Changed entries after an evaluation at ``point``; ``slots["step"]`` counts the evaluations before it."""
        raise NotImplementedError

    def final(self, slots: Slots) -> Pixels | None:
        """Images to judge when a run has ended without success; None reports the clean image as not fooled."""
        return slots["point"]


def radius_code(eps: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """What draws know of a radius in pixels: equal for ``8 / 255`` in single and in double precision."""
    return code((eps.double() * 255).round(decimals=5))


def broadcast(values: Shaped[Tensor, " slots"]) -> Shaped[Tensor, "slots 1 1 1"]:
    """One value per slot, shaped to meet its pixels."""
    return values[:, None, None, None]


def norm_l2(x: Pixels) -> Float[Tensor, "slots 1 1 1"]:
    """Euclidean length of every slot's pixels."""
    return broadcast(x.flatten(1).norm(dim=1))


def project(point: Pixels, inputs: Pixels, eps: Float[Tensor, "slots 1 1 1"], norm: str) -> Pixels:
    """The point moved into the ball around the clean image, then into [0, 1]."""
    if norm == "linf":
        return torch.minimum(torch.maximum(point, inputs - eps), inputs + eps).clamp(0, 1)
    delta = point - inputs
    length = norm_l2(delta)
    return (inputs + delta * torch.clamp(eps / (length + 1e-12), max=1.0)).clamp(0, 1)


def ascent(gradient: Pixels, norm: str) -> Pixels:
    """Steepest ascent direction of unit size in the norm; zero where the gradient is."""
    return gradient.sign() if norm == "linf" else gradient / (norm_l2(gradient) + 1e-12)
