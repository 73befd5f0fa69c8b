"""Attacks on models whose worst case is known in closed form, and on stacks."""

import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.attacks import FGSM, PGD, AbstractAttack, fgsm, gradient_sign, pgd
from evaluation.network import NetworkShape
from evaluation.stack import NetworkStack

PIXELS = (2, 3, 4)
"""Channels, height and width of the images."""

Function = Callable[..., Tensor]
FUNCTIONS = pytest.mark.parametrize("attack", [fgsm, pgd], ids=["fgsm", "pgd"])
CLASSES = pytest.mark.parametrize(
    "attack", [FGSM([4, 20]), PGD([4, 20], steps=5, relative_step=0.3)], ids=["fgsm", "pgd"]
)


class Linear:
    """``logits = W x + b`` in double precision, for any batch dimensions."""

    def __init__(self, classes: int = 2, seed: int = 0, scale: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weight = scale * torch.randn(classes, math.prod(PIXELS), generator=generator, dtype=torch.float64)
        self.bias = -0.5 * self.weight.sum(dim=1)  # balances images around 0.5
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(-3) @ self.weight.T + self.bias

    def margin(self, x: Tensor, labels: Tensor) -> Tensor:
        """Two classes: how far the true logit is ahead."""
        logits = x.flatten(-3) @ self.weight.T + self.bias
        return (logits * (2 * torch.nn.functional.one_hot(labels, 2) - 1)).sum(dim=-1)

    @property
    def slope(self) -> float:
        """L1 norm of the difference of the two weight vectors: margin lost per unit of eps."""
        return float((self.weight[0] - self.weight[1]).abs().sum())


class Curved:
    """A smooth model with curvature, so that a second gradient differs from the first."""

    def __init__(self, seed: int = 0) -> None:
        self.first, self.second = Linear(8, seed, scale=0.5), Linear(3, seed + 1)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tanh(self.first(x)) @ self.second.weight[:, :8].T


def images(n: int, *, low: float = 0.4, high: float = 0.6, seed: int = 1) -> Tensor:
    """Images away from the pixel bounds by default."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, *PIXELS, generator=generator, dtype=torch.float64)


def uniform_start(n: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *PIXELS, generator=generator, dtype=torch.float64) * 2 - 1


# ------------------------------------------------------------------------------------------------- closed forms


def fgsm_once(model: Function, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return fgsm(model, x, y, eps=eps)


def pgd_from_the_image(model: Function, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return pgd(model, x, y, eps=eps)


def pgd_from_a_random_start(model: Function, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Seven steps of 0.3 eps cross the ball from anywhere."""
    return pgd(model, x, y, eps=eps, steps=7, relative_step=0.3, start=uniform_start(len(x)))


@pytest.mark.parametrize("attack", [fgsm_once, pgd_from_the_image, pgd_from_a_random_start])
@pytest.mark.parametrize("eps", [1 / 255, 0.02, 0.05, 0.2])
def test_linear_classifier_is_broken_exactly_when_it_can_be(attack: Function, eps: float) -> None:
    """Two classes: robust if and only if the margin exceeds eps times the L1 norm of the weights' difference."""
    model, x = Linear(), images(200)
    labels = model(x).argmax(dim=-1)
    margin = model.margin(x, labels)
    adversarial = attack(model, x, labels, eps)
    after = model.margin(adversarial, labels)
    torch.testing.assert_close(after, margin - eps * model.slope, rtol=0, atol=1e-9)
    robust = model(adversarial).argmax(dim=-1) == labels
    assert torch.equal(robust, margin > eps * model.slope)


def test_the_radii_of_the_closed_form_decide_something() -> None:
    """The radii above cross the interesting range: from most images robust to none."""
    model, x = Linear(), images(200)
    margin = model.margin(x, model(x).argmax(dim=-1))
    shares = [float((margin > eps * model.slope).double().mean()) for eps in (1 / 255, 0.02, 0.05, 0.2)]
    assert 1 > shares[0] > 0.5 > shares[1] > shares[-1] == 0


@FUNCTIONS
def test_pixel_bounds_limit_the_damage_as_they_should(attack: Function) -> None:
    """Every pixel goes as far against the weights as the ball and [0, 1] let it."""
    model, x, eps = Linear(), images(100, low=0, high=1), 0.3
    labels = model(x).argmax(dim=-1)
    difference = (model.weight[0] - model.weight[1]).view(PIXELS) * (1 - 2 * labels.double())[:, None, None, None]
    worst = (x - eps * difference.sign()).clamp(0, 1)
    torch.testing.assert_close(attack(model, x, labels, eps=eps), worst, rtol=0, atol=1e-12)


def test_attacks_are_for_the_true_label() -> None:
    """A misclassified image is pushed further away from its label, not towards it."""
    model, x = Linear(), images(50)
    wrong = 1 - model(x).argmax(dim=-1)
    before = model.margin(x, wrong)
    assert bool((model.margin(fgsm(model, x, wrong, eps=0.1), wrong) < before).all())


def test_gradient_sign_is_the_sign() -> None:
    model, x = Linear(), images(5)
    labels = torch.tensor([0, 1, 0, 1, 1])
    expected = ((model.weight[0] - model.weight[1]).sign().view(PIXELS)) * (2 * labels - 1)[:, None, None, None]
    sign = gradient_sign(model, x, labels)
    assert torch.equal(sign, expected)
    assert not sign.requires_grad


# --------------------------------------------------------------------------------------------------- properties


@FUNCTIONS
@pytest.mark.parametrize("eps", [0.0, 0.001, 8 / 255, 0.5, 1.0])
def test_ball_and_pixel_range(attack: Function, eps: float) -> None:
    x = images(60, low=0, high=1)
    x[0], x[1] = 0.0, 1.0
    labels = torch.arange(60) % 3
    adversarial = attack(Curved(), x, labels, eps=eps)
    assert adversarial.shape == x.shape
    assert adversarial.dtype == x.dtype
    assert not adversarial.requires_grad
    assert float((adversarial - x).abs().max()) <= eps + 1e-12
    assert 0 <= float(adversarial.min()) <= float(adversarial.max()) <= 1


@FUNCTIONS
def test_no_radius_no_change(attack: Function) -> None:
    x, labels = images(10), torch.zeros(10, dtype=torch.int64)
    assert torch.equal(attack(Curved(), x, labels, eps=0.0), x)
    assert torch.equal(pgd(Curved(), x, labels, eps=0.0, start=uniform_start(10)), x)


@FUNCTIONS
def test_a_constant_network_gives_no_direction(attack: Function) -> None:
    x, labels = images(10), torch.zeros(10, dtype=torch.int64)
    assert torch.equal(attack(lambda v: 0 * v.flatten(-3)[..., :4] + 1, x, labels, eps=0.2), x)


@FUNCTIONS
def test_inputs_stay_as_they_were(attack: Function) -> None:
    x, labels = images(10), torch.zeros(10, dtype=torch.int64)
    before = x.clone()
    attack(Curved(), x, labels, eps=0.2)
    assert torch.equal(x, before)
    assert not x.requires_grad


@FUNCTIONS
def test_one_radius_per_sample(attack: Function) -> None:
    model, x = Curved(), images(6)
    labels = torch.arange(6) % 3
    radii = torch.tensor([0.0, 0.01, 0.02, 0.05, 0.1, 0.3], dtype=torch.float64)
    together = attack(model, x, labels, eps=radii)
    for i, radius in enumerate(radii.tolist()):
        alone = attack(model, x[i : i + 1], labels[i : i + 1], eps=radius)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)


@FUNCTIONS
@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf")])
def test_impossible_radii_are_refused(attack: Function, eps: float) -> None:
    x, labels = images(2), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="eps must be finite and >= 0"):
        attack(Curved(), x, labels, eps=eps)
    with pytest.raises(ValueError, match="eps must be finite and >= 0"):
        attack(Curved(), x, labels, eps=torch.tensor([0.1, eps], dtype=torch.float64))


@FUNCTIONS
def test_shapes_are_checked(attack: Function) -> None:
    with pytest.raises(TypeCheckError):
        attack(Curved(), images(3), torch.zeros(4, dtype=torch.int64), eps=0.1)


# ---------------------------------------------------------------------------------------------------------- PGD


def test_one_step_of_pgd_is_fgsm() -> None:
    x, labels = images(20, low=0, high=1), torch.arange(20) % 3
    one = pgd(Curved(), x, labels, eps=0.1, steps=1, relative_step=1.0)
    assert torch.equal(one, fgsm(Curved(), x, labels, eps=0.1))


def test_more_steps_do_more_harm_on_a_curved_model() -> None:
    """Summed loss; FGSM overshoots where the model bends."""
    model, x = Curved(), images(200, low=0.2, high=0.8)
    labels = model(x).argmax(dim=-1)

    def loss(adversarial: Tensor) -> float:
        return float(torch.nn.functional.cross_entropy(model(adversarial), labels))

    clean, one, many = x, fgsm(model, x, labels, eps=0.2), pgd(model, x, labels, eps=0.2)
    assert loss(clean) < loss(one) < loss(many)


def test_the_start_is_a_share_of_the_ball() -> None:
    x, labels = images(4, low=0, high=1), torch.zeros(4, dtype=torch.int64)
    start = uniform_start(4)
    begun = pgd(Curved(), x, labels, eps=0.2, steps=0, start=start)
    assert torch.equal(begun, (x + 0.2 * start).clamp(0, 1))


def test_one_gradient_per_step() -> None:
    model, x, labels = Linear(), images(3), torch.zeros(3, dtype=torch.int64)
    pgd(model, x, labels, eps=0.1, steps=6)
    assert model.calls == 6


def test_negative_steps() -> None:
    with pytest.raises(ValueError, match="steps must be >= 0, got -1"):
        pgd(Curved(), images(1), torch.zeros(1, dtype=torch.int64), eps=0.1, steps=-1)


# ------------------------------------------------------------------------------------- attacks of a whole table


def sweep(attack: AbstractAttack, model: Function, x: Tensor, labels: Tensor, seed: int = 0) -> list[Tensor]:
    return list(attack.sweep(model, x, labels, generator=torch.Generator().manual_seed(seed)))


def test_fgsm_sweep_is_fgsm_at_every_radius_for_one_gradient() -> None:
    model, x, labels = Linear(), images(30, low=0, high=1), torch.arange(30) % 2
    swept = sweep(FGSM([0, 1, 8, 16.5, 255]), model, x, labels)
    assert model.calls == 1
    assert len(swept) == 5
    for eps, adversarial in zip((0, 1, 8, 16.5, 255), swept, strict=True):
        torch.testing.assert_close(adversarial, fgsm(model, x, labels, eps=eps / 255), rtol=0, atol=1e-15)


def test_pgd_sweep_is_pgd_at_every_radius_from_one_start() -> None:
    model, x, labels = Curved(), images(5, low=0, high=1), torch.arange(5) % 3
    swept = sweep(PGD([1, 8, 32], steps=3, relative_step=0.5), model, x, labels, seed=7)
    start = (torch.rand(5, *PIXELS, generator=torch.Generator().manual_seed(7)) * 2 - 1).double()
    for eps, adversarial in zip((1, 8, 32), swept, strict=True):
        alone = pgd(model, x, labels, eps=eps / 255, steps=3, relative_step=0.5, start=start)
        assert torch.equal(adversarial, alone)


@CLASSES
def test_sweeps_are_reproducible(attack: AbstractAttack) -> None:
    x, labels = images(5), torch.arange(5) % 3
    first, second, other = (sweep(attack, Curved(), x, labels, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first, second))
    if isinstance(attack, PGD):
        assert not torch.equal(first[-1], other[-1]), "PGD starts at random"


def test_images_of_one_batch_start_differently() -> None:
    x, labels = images(1).expand(3, -1, -1, -1), torch.zeros(3, dtype=torch.int64)
    attack = PGD([32], steps=1, relative_step=1e-6)
    (adversarial,) = sweep(attack, Curved(), x, labels)
    assert not torch.equal(adversarial[0], adversarial[1])


@pytest.mark.parametrize("kind", [FGSM, PGD])
@pytest.mark.parametrize(
    "eps", [[], [-1], [1, -1], [2, 1], [1, 1], [256], [float("nan")], [1, float("nan")], [float("nan"), 1]], ids=str
)
def test_radii_of_a_table(kind: type[FGSM] | type[PGD], eps: list[float]) -> None:
    with pytest.raises(ConfigurationError, match=rf"attack {kind.name}: eps=\[.*increasing values within 0\.\.255"):
        kind(eps)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"steps": -1}, {"relative_step": 0.0}, {"relative_step": float("nan")}]
)
def test_settings_of_pgd(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"attack pgd: steps=.*must be positive"):
        PGD([1], **settings)  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------------------------------------- stacks


@CLASSES
def test_every_member_is_attacked_as_if_alone(attack: AbstractAttack) -> None:
    """One call per member inside, so that not even rounding differs."""
    members = [Curved(seed) for seed in (0, 10, 20)]

    def stack(x: Tensor) -> Tensor:
        return torch.stack([member(x[:, i]) for i, member in enumerate(members)], dim=1)

    x, labels = images(7, low=0, high=1), torch.arange(7) % 3
    together = sweep(attack, stack, x.unsqueeze(1).expand(-1, 3, *PIXELS), labels.unsqueeze(1).expand(-1, 3))
    for i, member in enumerate(members):
        for adversarial, alone in zip(together, sweep(attack, member, x, labels), strict=True):
            assert torch.equal(adversarial[:, i], alone)


@CLASSES
def test_every_network_of_a_stack_is_attacked_as_if_alone(attack: AbstractAttack) -> None:
    cells = [
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
        "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|skip_connect~2|",
    ]
    shape = NetworkShape(num_classes=3, in_channels=PIXELS[0], channels=2, cells_per_stage=1, mean=0.5, std=0.3)
    x = torch.rand(6, PIXELS[0], 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(6) % 3
    crowd = NetworkStack(cells, shape, seed=0).double().freeze()
    together = sweep(attack, crowd, x.unsqueeze(1).expand(-1, 2, -1, -1, -1), labels.unsqueeze(1).expand(-1, 2))
    for i, cell in enumerate(cells):
        alone = sweep(attack, NetworkStack([cell], shape, seed=0).double().freeze(), x.unsqueeze(1), labels[:, None])
        for adversarial, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(adversarial[:, i], expected[:, 0], rtol=0, atol=1e-12)


@FUNCTIONS
def test_radii_may_differ_within_a_stack(attack: Function) -> None:
    model, x, labels = Curved(), images(4), torch.arange(4) % 3
    radii = torch.tensor([[0.01, 0.1]], dtype=torch.float64).expand(4, -1)
    both = attack(model, x.unsqueeze(1).expand(-1, 2, *PIXELS), labels.unsqueeze(1).expand(-1, 2), eps=radii)
    for i, eps in enumerate((0.01, 0.1)):
        torch.testing.assert_close(both[:, i], attack(model, x, labels, eps=eps), rtol=0, atol=1e-12)
