"""Models and foreign attacks that break their promises: the same numbers, a warning, or one line."""

import warnings
from collections.abc import Callable, Iterator

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agnet.errors import ConfigurationError, InvalidInput
from evaluation.attacks import APGD, FABT, FGSM, PGD, AbstractAttack, AutoAttack, BatchAttack, Ensemble, Square
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.functions import apgd, fgsm, pgd, square
from evaluation.attacks.gradients import UnsoundAttackWarning

EPS = [4 / 255, 8 / 255]


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    """Without the checks of types, which tests alone have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Net(nn.Module):
    """A network that normalises its images in one of several ways."""

    def __init__(self, way: str = "copy") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.linear = nn.Linear(192, 10)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(10, 192, generator=generator) / 14)
            self.linear.bias.zero_()
        self.way, self.answer = way, torch.empty(0)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "in place":
            x -= 0.5
            x /= 0.25
        elif self.way == "data":
            x.data.sub_(0.5).div_(0.25)
        else:
            x = (x - 0.5) / 0.25
        logits = self.linear(x.flatten(1))
        if self.way == "one answer" and not logits.requires_grad:
            if len(self.answer) < len(logits):
                self.answer = torch.empty_like(logits)
            return self.answer[: len(logits)].copy_(logits)
        return logits


def pictures(n: int = 20) -> tuple[Tensor, Tensor]:
    images = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return images, Net()(images).argmax(dim=1)


ATTACKS: list[AbstractAttack] = [
    FGSM(EPS),
    PGD(EPS, steps=3),
    PGD(EPS, steps=3, norm="l2"),
    APGD(EPS, steps=4),
    APGD(EPS, "targeted_dlr", steps=3, targets=2),
    APGD(EPS, steps=4, norm="l2", unfooled="best"),
    Square(EPS, 20),
    FABT(EPS, targets=1, steps=2),
]


@pytest.mark.parametrize("mode", ["published", "worst_case"])
@pytest.mark.parametrize("way", ["in place", "data", "one answer"])
def test_a_model_that_writes_into_its_images_or_answers_gets_the_same_numbers(way: str, mode: str) -> None:
    images, labels = pictures()
    kept = images.clone()
    attacks = ATTACKS[:-1] if way == "data" else ATTACKS  # FAB needs the length of the gradient, which "data" loses
    known, found = (
        evaluate(Net(w), images, labels, attacks, mode=mode, batch_size=8, keep_images=True) for w in ("copy", way)
    )
    assert torch.equal(images, kept)
    for a, b in zip(known.outcomes, found.outcomes, strict=True):
        assert (a.column, a.accuracy) == (b.column, b.accuracy)
        assert torch.equal(a.confidence, b.confidence)
        assert torch.equal(a.forwards, b.forwards)
    for column in known.adversarial:
        assert torch.equal(known.adversarial[column], found.adversarial[column])


@pytest.mark.parametrize("way", ["in place", "data", "one answer"])
def test_the_functions_too(way: str) -> None:
    images, labels = pictures(8)
    functions: list[Callable[[nn.Module], Tensor]] = [
        lambda m: fgsm(m, images, labels, eps=8 / 255),
        lambda m: pgd(m, images, labels, eps=8 / 255, steps=3),
        lambda m: apgd(m, images, labels, eps=8 / 255, steps=4),
        lambda m: square(m, images, labels, eps=8 / 255, queries=20),
    ]
    for function in functions:
        assert torch.equal(function(Net()), function(Net(way)))


def test_a_model_that_does_not_write_into_its_images_is_handed_them_without_a_copy() -> None:
    images, labels = pictures(4)
    seen: list[int] = []

    class Spy(Net):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.data_ptr())
            return super().forward(x)

    evaluate(Spy(), images, labels, Square([8 / 255], 3))
    from evaluation.attacks.classifier import Classifier

    model = Classifier(Spy())
    with torch.no_grad():
        model(images)
        model(images)
    assert seen[-1] == images.data_ptr() != seen[-2]


def test_a_model_that_writes_into_its_images_at_times() -> None:
    images, labels = pictures(12)

    class Sometimes(Net):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x if self.calls < 6 else x.mul_(1))

    with pytest.raises(InvalidInput, match="changes its input in place in some calls only"):
        evaluate(Sometimes(), images, labels, Square([8 / 255], 20))


# ----------------------------------------------------------------------------------------------- foreign attacks


def test_a_foreign_attack_that_writes_into_its_images_and_labels() -> None:
    images, labels = pictures()

    def far(model: Callable, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int) -> Tensor:
        return inputs.add_(1).clamp_(0, 1)

    def relabel(model: Callable, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int) -> Tensor:
        labels.add_(1)
        return inputs

    with pytest.raises(InvalidInput, match=r"attack mine returned pixels within .* at a distance of 0\.99"):
        evaluate(Net(), images, labels, BatchAttack(far, "mine", [1 / 255]))
    assert evaluate(Net(), images, labels, BatchAttack(relabel, "mine", [1 / 255])).accuracies["mine_eps1"] == 100


def test_a_foreign_attack_sees_the_model_itself_and_may_raise() -> None:
    images, labels = pictures(4)
    model = Net()

    def curious(asked: Callable, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int) -> Tensor:
        assert asked is model
        return inputs

    def broken(asked: Callable, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int) -> Tensor:
        raise KeyError("steps")

    evaluate(model, images, labels, BatchAttack(curious, "mine", [1 / 255]))
    with pytest.raises(InvalidInput, match=r"attack mine raised KeyError \('steps'\) at test_broken_models\.py:\d+"):
        evaluate(model, images, labels, BatchAttack(broken, "mine", [1 / 255]))


# ------------------------------------------------------------------------------------------------ models that raise


def raising(error: BaseException, after: int = 0) -> Callable[[Tensor], Tensor]:
    calls, net = 0, Net()

    def model(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error
        return net(x)

    return model


@pytest.mark.parametrize("after", [0, 3, 5])
def test_what_a_model_raises_is_told_in_one_line(after: int) -> None:
    images, labels = pictures(6)
    error = ValueError("no such layer\nand more")
    said = r"the model raised ValueError \(no such layer\) at test_broken_models\.py:\d+; .* float32\[\d, 3, 8, 8\]"
    for attack in (PGD([8 / 255], steps=5), Square([8 / 255], 9)):
        with pytest.raises(InvalidInput, match=said) as caught:
            evaluate(raising(error, after), images, labels, attack)
        assert caught.value.__cause__ is error
    with pytest.raises(InvalidInput, match=r"the model raised SystemExit \(0\)"):
        evaluate(raising(SystemExit(0), after), images, labels, Square([8 / 255], 9))
    with pytest.raises(InvalidInput, match=said):
        pgd(raising(error, min(after, 3)), images, labels, eps=8 / 255, steps=5)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Conv2d(5, 4, 3), r"the model raised RuntimeError \(.*channels"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 10)).double(), r"the model raised RuntimeError \(.*dtype"),
        (lambda x: x.flatten(1).detach().numpy(), "the model returned ndarray"),
        (lambda x: (x, x), "the model returned tuple"),
        (lambda x: None, "the model returned NoneType"),
        (lambda x: x, r"the model returned logits of shape \[6, 3, 8, 8\]"),
        (lambda x: x.flatten(1)[:3], "the model returned logits of shape"),
        (lambda x: x.flatten(1).long(), "the model returned logits of type torch.int64"),
        (lambda x: x.flatten(1).to("meta"), "the model returned logits on meta"),
        ([1, 2], "the model is a list"),
        (None, "the model is a NoneType"),
    ],
)
def test_what_is_no_classifier(model: nn.Module, said: str) -> None:
    images, labels = pictures(6)
    model = model.eval() if isinstance(model, nn.Module) else model
    with pytest.raises(InvalidInput, match=said):
        evaluate(model, images, labels, PGD([8 / 255], steps=2))
    with pytest.raises(InvalidInput, match=said):
        pgd(model, images, labels, eps=8 / 255, steps=2)


def test_lack_of_memory_stays_what_it_is() -> None:
    images, labels = pictures(4)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        evaluate(raising(RuntimeError("DefaultCPUAllocator: can't allocate memory")), images, labels, FGSM(EPS))


# ----------------------------------------------------------------------------------------------------- unsound numbers


class Rounded(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x * 255).round() / 255)


class Huge(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 1e5


class Noisy(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, 0.5, training=True))


class Half(Net):
    """Rounds the darker images alone."""

    def forward(self, x: Tensor) -> Tensor:
        dark = x.mean(dim=(1, 2, 3), keepdim=True) < 0.5
        return super().forward(torch.where(dark, x.round(), x))


@pytest.mark.parametrize("attack", [FGSM(EPS), PGD(EPS, steps=2), APGD(EPS, steps=3)], ids=lambda a: a.name)
@pytest.mark.parametrize("model", [Rounded, Huge, Half])
def test_gradients_that_are_zero_are_told(model: type[Net], attack: AbstractAttack) -> None:
    images, labels = pictures(40)
    dark = float((images.mean(dim=(1, 2, 3)) < 0.5).double().mean())
    share = dark if model is Half else 1.0
    with pytest.warns(UnsoundAttackWarning, match=rf"the gradient is zero on {share:.0%} of 40 images"):
        found = evaluate(model(), images, labels, attack)
    assert found.checks == {"zero_gradients": share, "zero_gradients_of": 40, "randomised": False}
    with pytest.warns(UnsoundAttackWarning, match=rf"the gradient is zero on {share:.0%} of 40 images"):
        fgsm(model(), images, labels, eps=8 / 255)
    with pytest.warns(UnsoundAttackWarning, match="the gradient is zero on"):
        pgd(model(), images, labels, eps=8 / 255, steps=2)


def test_logits_drawn_at_random_are_told() -> None:
    images, labels = pictures(40)
    before = torch.random.get_rng_state()
    for attack in (FGSM(EPS), Square(EPS, 5)):
        with pytest.warns(UnsoundAttackWarning, match="other logits when asked again"):
            assert evaluate(Noisy(), images, labels, attack).checks["randomised"] is True
    assert not torch.equal(before, torch.random.get_rng_state())  # the model's own draws


def test_sound_and_constant_models_are_not_doubted() -> None:
    images, labels = pictures(40)
    constant = nn.Sequential(nn.Flatten(), nn.Linear(192, 10)).eval()
    nn.init.zeros_(constant[1].weight)  # pyright: ignore[reportArgumentType]
    for model in (Net(), constant, lambda x: torch.ones(len(x), 10)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            checks = evaluate(model, images, labels, [FGSM(EPS), PGD(EPS, steps=2), Square(EPS, 3)]).checks
        assert checks["randomised"] is False
    assert "zero_gradients" not in evaluate(Net(), images, labels, Square(EPS, 3)).checks


# ------------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("eps", [["8"], "8", [None], [float("nan")], [True], [[0.1]], [-0.1], [], {"a": 1}, object()])
def test_radii_that_are_no_numbers(eps: object) -> None:
    for attack in (PGD, Square, AutoAttack):
        with pytest.raises(ConfigurationError, match=r"eps=") as caught:
            attack(eps=eps)  # pyright: ignore[reportArgumentType]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "eps",
    [
        np.float32(0.25),
        np.array(0.25),
        np.array([0.25]),
        torch.tensor(0.25),
        torch.tensor([0.25]),
        (0.25,),
        [np.float32(0.25)],
    ],
)
def test_radii_of_numpy_and_torch(eps: object) -> None:
    attack = PGD(eps=eps)  # pyright: ignore[reportArgumentType]
    assert attack.eps == (0.25,)
    assert type(attack.eps[0]) is float


@pytest.mark.parametrize(
    "make",
    [
        lambda: PGD(steps="5"),  # pyright: ignore[reportArgumentType]
        lambda: PGD(steps=2.5),  # pyright: ignore[reportArgumentType]
        lambda: PGD(relative_step=float("nan")),
        lambda: APGD(restarts=0),
        lambda: APGD(targets=True, loss="targeted_dlr"),
        lambda: Square(queries="many"),  # pyright: ignore[reportArgumentType]
        lambda: Square(initial_share=None),  # pyright: ignore[reportArgumentType]
        lambda: PGD(name=5),  # pyright: ignore[reportArgumentType]
        lambda: Ensemble(["pgd"]),  # pyright: ignore[reportArgumentType]
        lambda: Ensemble([]),
    ],
)
def test_settings_of_another_type(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"attack .*; give|attack 5: give"):
        make()


def test_arguments_of_another_type() -> None:
    images, labels = pictures(4)
    attack = PGD([8 / 255], steps=2)
    for changes, said in (
        ({"seed": "x"}, "seed='x'; give a whole number from 0"),
        ({"seed": -1}, "seed=-1; give a whole number from 0"),
        ({"batch_size": "x"}, "batch_size='x'; give at least 1"),
        ({"attacks": []}, r"attacks=\[\]; give at least one attack"),
        ({"attacks": ["pgd"]}, r"attacks=\['pgd'\]; give at least one attack"),
        ({"attacks": [attack, attack]}, "give each its own name"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            evaluate(Net(), images, labels, **{"attacks": attack, **changes})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="seed=-1"):
        pgd(Net(), images, labels, eps=0.1, seed=-1)
    with pytest.raises(ConfigurationError, match="eps='x'"):
        pgd(Net(), images, labels, eps="x")  # pyright: ignore[reportArgumentType]


# ----------------------------------------------------------------------------------------------- torch's defaults


def test_the_process_wide_defaults_of_torch_change_nothing() -> None:
    """BoTorch asks for float64, notebooks for a device ("meta" stands for it), and callers forget no_grad."""
    images, labels = pictures(6)
    model = Net()
    known = evaluate(model, images, labels, ATTACKS[:-1], keep_images=True, batch_size=4)
    clean = pgd(model, images, labels, eps=8 / 255, steps=3), square(model, images, labels, eps=8 / 255, queries=9)

    def same() -> None:
        found = evaluate(model, images, labels, ATTACKS[:-1], keep_images=True, batch_size=4)
        for column, kept in known.adversarial.items():
            assert torch.equal(found.adversarial[column], kept)
            assert found.adversarial[column].dtype == kept.dtype
        assert found.summary() == known.summary()
        assert torch.equal(pgd(model, images, labels, eps=8 / 255, steps=3), clean[0])
        assert torch.equal(square(model, images, labels, eps=8 / 255, queries=9), clean[1])

    with torch.no_grad():
        same()
    from evaluation.attacks.auto_projected_gradient_descent import checkpoints
    from evaluation.attacks.square_attack import window_sides

    for before, after, setter in (
        (torch.float64, torch.float32, torch.set_default_dtype),
        ("meta", None, torch.set_default_device),
    ):
        checkpoints.cache_clear()
        window_sides.cache_clear()
        setter(before)  # pyright: ignore[reportArgumentType]
        try:
            same()
        finally:
            setter(after)  # pyright: ignore[reportArgumentType]
