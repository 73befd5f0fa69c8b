import gc
import logging
import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from evaluation.checks import check_batch, check_logits
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.randomness import keys
from evaluation.sensitivity.input_hessian import gauss_newton_top, input_hessian_top, power_iteration
from evaluation.sensitivity.jacobian import class_basis, jacobian, jacobian_norm, linearise, norm_along, pull_back
from evaluation.sensitivity.lanczos import lanczos
from evaluation.sensitivity.table_measures import sensitivity
from evaluation.sensitivity.weight_hessian import weight_hessian_top

MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
DEAD_EDGE = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
SHAPE = NetworkShape(num_classes=4, in_channels=2, channels=2, cells_per_stage=1, mean=0.3, std=0.4)


def network(architecture: str = MIXED, shape: NetworkShape = SHAPE, *, seed: int = 0) -> CellNetwork:
    """With statistics and affine parameters that are not those of an untouched normalisation."""
    torch.manual_seed(seed)
    model = CellNetwork(architecture, shape).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.1, 0.5)
    return model.eval()


def images(count: int, size: int = 8) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(count, SHAPE.in_channels, size, size, dtype=torch.float64, generator=rng)


def classes(count: int, num_classes: int = SHAPE.num_classes) -> Tensor:
    return torch.arange(count) % num_classes


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    model = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weight)
        model.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return model.eval()


class Curved(nn.Sequential):
    """Smooth, not piecewise linear."""

    def __init__(self, d: int = 5, hidden: int = 7, num_classes: int = 3) -> None:
        torch.manual_seed(5)
        super().__init__(
            nn.Linear(d, hidden, dtype=torch.float64), nn.Tanh(), nn.Linear(hidden, num_classes, dtype=torch.float64)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(3)
        self.eval()


def autograd_jacobians(model: nn.Module, inputs: Tensor) -> Tensor:
    found = [torch.autograd.functional.jacobian(lambda x: model(x[None])[0], x) for x in inputs]
    return torch.stack([torch.as_tensor(j).flatten(1) for j in found])


def input_hessians(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    found = []
    for x, label in zip(inputs, labels, strict=True):

        def loss(flat: Tensor, x: Tensor = x, label: Tensor = label) -> Tensor:
            return F.cross_entropy(model(flat.view_as(x)[None]), label[None])

        found.append(torch.as_tensor(torch.autograd.functional.hessian(loss, x.flatten(), vectorize=True)))
    return torch.stack(found)


def weight_hessian(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    sizes = [p.numel() for p in model.parameters()]
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(flat: Tensor) -> Tensor:
        parts = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        return F.cross_entropy(functional_call(model, dict(zip(names, parts, strict=True)), (inputs,)), labels)

    return torch.as_tensor(torch.autograd.functional.hessian(loss, flat, vectorize=True))


# ------------------------------------------------------------------------------------------------------ Jacobian


def test_jacobian_of_a_linear_model_is_its_weight() -> None:
    weight = torch.tensor([[3.0, 0.0, 4.0], [0.0, 12.0, 0.0]], dtype=torch.float64)
    found = jacobian_norm(linear(weight), torch.rand(4, 3, dtype=torch.float64))
    assert found.tolist() == pytest.approx([13.0] * 4)


def test_jacobian_of_two_layers_is_the_product_of_the_active_ones() -> None:
    torch.manual_seed(3)
    first, second = nn.Linear(6, 8, dtype=torch.float64), nn.Linear(8, 3, dtype=torch.float64)
    x = torch.randn(5, 6, dtype=torch.float64)
    active = (first(x) > 0).double()
    assert 0 < active.mean() < 1
    expected = torch.einsum("ch,bh,hd->bcd", second.weight, active, first.weight)
    model = nn.Sequential(first, nn.ReLU(), second).eval()
    torch.testing.assert_close(jacobian(model, x), expected.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("vectorised", [False, True])
@pytest.mark.parametrize("architecture", [MIXED, DEAD_EDGE])
def test_jacobian_agrees_with_autograd(architecture: str, vectorised: bool) -> None:
    model, x = network(architecture), images(2)
    expected = autograd_jacobians(model, x)
    leaf, logits = linearise(model, x)
    rows = pull_back(leaf, logits, class_basis(logits), vectorised=vectorised)
    torch.testing.assert_close(rows, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(jacobian_norm(model, x), expected.flatten(1).norm(dim=1), rtol=1e-12, atol=0)


def test_projections_on_any_orthonormal_basis_are_exact() -> None:
    leaf, logits = linearise(network(), images(3))
    exact = norm_along(pull_back(leaf, logits, class_basis(logits)), class_basis(logits))
    rotation = torch.linalg.qr(torch.randn(3, 4, 4, dtype=torch.float64)).Q
    torch.testing.assert_close(norm_along(pull_back(leaf, logits, rotation), rotation), exact, rtol=1e-12, atol=0)


def test_projections_are_exact_where_all_directions_are_alike() -> None:
    """``J J^T = 4 I``, so that the length of the projections' vectors is all that matters."""
    model = linear(2 * torch.eye(3, 7, dtype=torch.float64))
    found = jacobian_norm(model, torch.rand(5, 7, dtype=torch.float64), projections=1, seed=4)
    assert found.tolist() == pytest.approx([math.sqrt(12)] * 5)


def test_the_estimator_is_unbiased_in_the_square() -> None:
    """Four standard errors over 4,000 draws of a Jacobian with unlike rows."""
    model = linear(torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)))
    squares = jacobian_norm(model, torch.zeros(4000, 3, dtype=torch.float64), projections=1, seed=0).square()
    error = float(squares.std()) / math.sqrt(4000)
    assert 0.1 < error < 0.4
    assert float(squares.mean()) == pytest.approx(30.0, abs=4 * error)
    more = jacobian_norm(model, torch.zeros(500, 3, dtype=torch.float64), projections=16, seed=0).square()
    assert float(more.std()) == pytest.approx(float(squares.std()) / 4, rel=0.2)


def test_directions_belong_to_the_image_and_the_seed() -> None:
    model, x = network(), images(6)
    whole = jacobian_norm(model, x, projections=2, seed=1)
    again = jacobian_norm(model, x, projections=2, seed=1, batch_size=4)
    torch.testing.assert_close(again, whole, rtol=1e-12, atol=0)
    order = torch.tensor([4, 1])
    part = jacobian_norm(model, x[order], projections=2, seed=1, indices=order)
    torch.testing.assert_close(part, whole[order], rtol=1e-12, atol=0)
    assert not torch.allclose(jacobian_norm(model, x, projections=2, seed=2), whole, rtol=1e-3)
    assert jacobian_norm(model, x[:1].expand(6, -1, -1, -1), projections=2, seed=1).unique().numel() == 6


# ------------------------------------------------------------------------------------------------- input Hessian


def test_input_hessian_of_two_classes_in_closed_form() -> None:
    r"""A margin ``w x`` with probability ``p``: ``H = p (1 - p) w w^T``."""
    weight = torch.tensor([[1.0, 2.0], [-2.0, 6.0]], dtype=torch.float64)
    x = torch.tensor([[0.3, 0.1], [-0.2, 0.4]], dtype=torch.float64)
    p = torch.sigmoid(x @ (weight[1] - weight[0]))
    expected = 25 * p * (1 - p)
    for method in ("gauss_newton", "power"):
        found = input_hessian_top(linear(weight), x, torch.tensor([0, 1]), method=method)
        torch.testing.assert_close(found.values, expected, rtol=1e-12, atol=0)
        assert found.converged.all()


def test_gauss_newton_is_the_hessian_of_a_piecewise_linear_network() -> None:
    model, x, labels = network(), images(3), classes(3)
    expected = torch.linalg.eigvalsh(input_hessians(model, x, labels))[:, -1]
    exact = input_hessian_top(model, x, labels)
    torch.testing.assert_close(exact.values, expected, rtol=1e-10, atol=0)
    assert not exact.residuals.any()
    power = input_hessian_top(model, x, labels, method="power", iterations=2000, tolerance=1e-9)
    assert power.converged.all()
    torch.testing.assert_close(power.values, exact.values, rtol=1e-8, atol=0)
    products = input_hessian_top(model, x, labels, exact_classes=2)
    assert products.converged.all()
    torch.testing.assert_close(products.values, exact.values, rtol=1e-8, atol=0)


def test_many_classes_need_fewer_products_than_classes() -> None:
    model, x = network(shape=NetworkShape(60, 2, 2, 1)), images(2)
    labels = classes(2)
    exact = input_hessian_top(model, x, labels, exact_classes=61)
    found = input_hessian_top(model, x, labels, iterations=20)
    assert found.converged.all()
    assert (found.residuals > 0).all()
    torch.testing.assert_close(found.values, exact.values, rtol=1e-6, atol=0)
    hasty = input_hessian_top(model, x, labels, iterations=1)
    assert not hasty.converged.any()
    assert (hasty.values < exact.values).all()


def test_power_iteration_knows_curved_networks() -> None:
    """Gauss-Newton leaves out the curvature of the logits; double backward does not."""
    model, x = Curved(), torch.randn(8, 5, dtype=torch.float64)
    labels = classes(8, 3)
    spectra = torch.linalg.eigvalsh(input_hessians(model, x, labels))
    assert (spectra[:, 0].abs() > spectra[:, -1]).any()
    found = input_hessian_top(model, x, labels, method="power", iterations=20000, tolerance=1e-8)
    assert found.converged.all()
    torch.testing.assert_close(found.values, spectra[:, -1], rtol=1e-8, atol=1e-10)
    assert not torch.allclose(input_hessian_top(model, x, labels).values, spectra[:, -1], rtol=0.05)


def test_power_iteration_shifts_negative_spectra() -> None:
    diagonal = torch.tensor([[-5.0, 2.0, 1.0], [-3.0, -1.0, -2.0], [4.0, 1.0, -3.0]], dtype=torch.float64)
    start = torch.ones(3, 3, dtype=torch.float64)
    found = power_iteration(lambda v: diagonal * v, start, iterations=500, tolerance=1e-10)
    assert found.values.tolist() == pytest.approx([2.0, -1.0, 4.0])
    assert found.converged.all()


def test_a_certain_network_keeps_its_digits() -> None:
    """Probabilities of 1e-30: float32 still agrees with the closed form, computed without subtractions from one."""
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    model = nn.Linear(2, 2).eval()
    with torch.no_grad():
        model.weight.copy_(weight)
        model.bias.copy_(torch.tensor([69.0, 0.0]))
    x, labels = torch.zeros(1, 2), torch.tensor([0])
    expected = 2 * math.exp(-69.0)
    for exact_classes in (50, 1):
        found = input_hessian_top(model, x, labels, exact_classes=exact_classes)
        assert float(found.values[0]) == pytest.approx(expected, rel=1e-4)
    double = gauss_newton_top(weight[None].double(), torch.tensor([[69.0, 0.0]], dtype=torch.float64))
    assert float(double[0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("settings", [{"exact_classes": 2}, {"method": "power"}, {}])
def test_input_hessian_does_not_depend_on_the_batch(settings: dict) -> None:
    model, x, labels = network(), images(5), classes(5)
    whole = input_hessian_top(model, x, labels, **settings)
    parts = input_hessian_top(model, x, labels, batch_size=2, **settings)
    torch.testing.assert_close(parts.values, whole.values, rtol=1e-11, atol=0)
    alone = input_hessian_top(model, x[3:4], labels[3:4], indices=torch.tensor([3]), **settings)
    torch.testing.assert_close(alone.values, whole.values[3:4], rtol=1e-11, atol=0)


# ------------------------------------------------------------------------------------------------ weight Hessian


def test_weight_hessian_of_a_linear_model_in_closed_form() -> None:
    r"""``(diag p - p p^T) (x) x x^T``: at zero weights ``p = 1/C``, the top is ``(|x|^2 + 1) / C``, ``C - 1`` times."""
    model = linear(torch.zeros(3, 2, dtype=torch.float64))
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    found = weight_hessian_top(model, x, torch.tensor([1]))
    assert found.values.tolist() == pytest.approx([26 / 3])
    assert found.converged.tolist() == [True]


@pytest.mark.parametrize("architecture", [MIXED, DEAD_EDGE, DEAD])
def test_weight_hessian_agrees_with_the_dense_one(architecture: str) -> None:
    shape = NetworkShape(num_classes=3, in_channels=2, channels=1, cells_per_stage=1)
    model, x, labels = network(architecture, shape), images(4, size=4), classes(4, 3)
    spectrum = torch.linalg.eigvalsh(weight_hessian(model, x, labels)).flip(0)
    found = weight_hessian_top(model, x, labels, k=2, tolerance=1e-8, iterations=100)
    assert found.converged.all()
    torch.testing.assert_close(found.values, spectrum[:2], rtol=1e-8, atol=0)
    batched = weight_hessian_top(model, x, labels, k=2, tolerance=1e-8, iterations=100, batch_size=3)
    torch.testing.assert_close(batched.values, found.values, rtol=1e-9, atol=0)


def test_weight_hessian_says_when_it_has_not_converged() -> None:
    model, x, labels = network(), images(4), classes(4)
    exact = weight_hessian_top(model, x, labels, tolerance=1e-9, iterations=80)
    assert exact.converged.all()
    hasty = weight_hessian_top(model, x, labels, iterations=3)
    assert not hasty.converged.any()
    assert float(exact.values - hasty.values) > 0
    close = weight_hessian_top(model, x, labels)
    assert float((close.values - exact.values).abs()) <= float(close.residuals)
    other = weight_hessian_top(model, x, labels, tolerance=1e-9, iterations=80, seed=7)
    torch.testing.assert_close(other.values, exact.values, rtol=1e-9, atol=0)


def test_weight_hessian_counts_frozen_parameters() -> None:
    model, x, labels = network(), images(3), classes(3)
    free = weight_hessian_top(model, x, labels)
    frozen = weight_hessian_top(model.requires_grad_(False), x, labels)
    assert torch.equal(free.values, frozen.values)


def test_parameters_that_no_loss_depends_on_have_no_curvature() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :2]

    found = weight_hessian_top(Constant().eval(), images(2), classes(2, 2))
    assert found.values.tolist() == [0.0]
    assert found.converged.all()


# ------------------------------------------------------------------------------------------------------- Lanczos


def symmetric(batch: int, size: int, *, shift: float = 0.0) -> Tensor:
    matrix = torch.randn(batch, size, size, dtype=torch.float64)
    return matrix + matrix.transpose(1, 2) + shift * torch.eye(size, dtype=torch.float64)


def times(matrices: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda v: torch.einsum("bij,bj->bi", matrices, v)


@pytest.mark.parametrize("shift", [0.0, -40.0])
def test_lanczos_is_exact_in_the_full_space(shift: float) -> None:
    matrices = symmetric(3, 12, shift=shift)
    found = lanczos(times(matrices), keys(0, "test", torch.arange(3)), 12, k=12, iterations=30, tolerance=1e-8)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(matrices).flip(1), rtol=1e-9, atol=1e-9)
    assert found.converged.all()


def test_residuals_are_those_of_the_ritz_vectors() -> None:
    """An eigenvalue lies within the residual of each estimate."""
    matrices = symmetric(5, 40)
    found = lanczos(times(matrices), keys(0, "test", torch.arange(5)), 40, iterations=8, tolerance=1e-9)
    distance = (torch.linalg.eigvalsh(matrices) - found.values).abs().amin(dim=1)
    assert not found.converged.any()
    assert (distance <= found.residuals[:, 0]).all()
    assert (found.residuals > 1e-3).all()


def test_lanczos_goes_on_when_its_space_is_exhausted() -> None:
    """The identity and zero are exhausted after one product, a projection after two."""
    projection = torch.zeros(6, 6, dtype=torch.float64)
    projection[0, 0] = 1.0
    matrices = torch.stack([torch.eye(6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64), projection])
    start = keys(0, "test", torch.arange(3))
    found = lanczos(times(matrices), start, 6, k=6)
    expected = torch.tensor([[1.0] * 6, [0.0] * 6, [1.0] + [0.0] * 5], dtype=torch.float64)
    torch.testing.assert_close(found.values, expected, rtol=1e-12, atol=1e-12)


def test_a_sample_stops_at_its_own_convergence() -> None:
    matrices = symmetric(4, 60)
    matrices[0] += 500 * torch.ones(60, 60, dtype=torch.float64)
    together = lanczos(times(matrices), keys(0, "test", torch.arange(4)), 60)
    alone = lanczos(times(matrices[:1]), keys(0, "test", torch.arange(1)), 60)
    torch.testing.assert_close(together.values[:1], alone.values, rtol=1e-14, atol=0)
    assert float(together.residuals[0, 0]) == pytest.approx(float(alone.residuals[0, 0]), rel=1e-4)


@pytest.mark.parametrize("k", [0, 4, 6])
def test_impossible_counts_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k={k} eigenvalues"):
        lanczos(times(symmetric(1, 5)), keys(0, "test", torch.arange(1)), 5, k=k, iterations=3)


def test_infinite_products_are_refused() -> None:
    with pytest.raises(ValueError, match="products with the operator of 1 of 2 samples are not finite"):
        lanczos(times(torch.diag_embed(torch.tensor([[1.0], [math.inf]]))), keys(0, "test", torch.arange(2)), 1,
                dtype=torch.float32)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- columns


def test_columns_are_what_their_parts_say() -> None:
    model, x, labels = network(), images(5), classes(5)
    found = sensitivity(model, x, labels, seed=0, batch_size=3)
    assert list(found) == ["jacobian_frobenius", "hessian_input_top1", "hessian_weight_top1"]
    norms = autograd_jacobians(model, x).flatten(1).norm(dim=1)
    tops = torch.linalg.eigvalsh(input_hessians(model, x, labels))[:, -1]
    assert found["jacobian_frobenius"] == pytest.approx(float(norms.square().mean().sqrt()), rel=1e-10)
    assert found["hessian_input_top1"] == pytest.approx(float(tops.mean()), rel=1e-10)
    assert found["hessian_weight_top1"] == pytest.approx(
        float(weight_hessian_top(model, x, labels).values[0]), rel=1e-10
    )


def test_estimated_columns() -> None:
    model, x, labels = network(), images(5), classes(5)
    found = sensitivity(model, x, labels, seed=3, projections=2)
    norms = jacobian_norm(model, x, projections=2, seed=3)
    assert found["jacobian_frobenius"] == pytest.approx(float(norms.square().mean().sqrt()))
    assert found["hessian_input_top1"] == pytest.approx(float(input_hessian_top(model, x, labels).values.mean()))


def test_missed_convergence_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sensitivity(network(), images(3), classes(3), seed=0, iterations=2)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hessian_weight_top1: 1 of 1 eigenvalues did not converge in 2 iterations" in caplog.text


@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_that_lets_nothing_through(frozen: bool) -> None:
    model, x, labels = network(DEAD).requires_grad_(not frozen), images(2), classes(2)
    found = sensitivity(model, x, labels, seed=0)
    assert found["jacobian_frobenius"] == 0.0
    assert found["hessian_input_top1"] == 0.0
    assert found["hessian_weight_top1"] > 0.0
    for settings in ({"exact_classes": 2}, {"method": "power"}):
        top = input_hessian_top(model, x, labels, **settings)
        assert top.values.tolist() == [0.0, 0.0]
        assert top.converged.all()


def test_single_precision_agrees() -> None:
    model, x, labels = network(), images(4), classes(4)
    expected = sensitivity(model, x, labels, seed=0)
    found = sensitivity(model.float(), x.float(), labels, seed=0)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.gpu
def test_a_gpu_agrees() -> None:
    model, x, labels = network(), images(4), classes(4)
    expected = sensitivity(model, x, labels, seed=0, projections=2)
    exact = input_hessian_top(model, x, labels).values
    model, x, labels = model.cuda(), x.cuda(), labels.cuda()
    assert sensitivity(model, x, labels, seed=0, projections=2) == pytest.approx(expected, rel=1e-6)
    for settings in ({}, {"exact_classes": 2}, {"method": "power"}):
        torch.testing.assert_close(
            input_hessian_top(model, x, labels, **settings).values.cpu(), exact, rtol=1e-6, atol=0
        )


def test_the_model_is_left_as_found_and_no_graph_stays() -> None:
    model, x, labels = network(), images(3), classes(3)
    model.stem.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    assert len(set(flags)) == 2
    state = {name: value.clone() for name, value in model.state_dict().items()}

    def measure() -> None:
        sensitivity(model, x, labels, seed=0, iterations=5, projections=1)
        sensitivity(model, x, labels, seed=0, iterations=5, batch_size=2)
        input_hessian_top(model, x, labels, method="power", iterations=3)
        input_hessian_top(model, x, labels, exact_classes=2)

    def tensors() -> int:
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    measure()
    gc.collect()
    before = tensors()
    gc.disable()
    try:
        measure()
        assert tensors() == before
    finally:
        gc.enable()
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not x.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_measures_work_where_gradients_are_off() -> None:
    model, x, labels = network(), images(2), classes(2)
    expected = sensitivity(model, x, labels, seed=0)
    with torch.no_grad():
        assert sensitivity(model, x, labels, seed=0) == expected
        top = input_hessian_top(model, x, labels, method="power", iterations=5)
        assert (top.values > 0).all()
        assert (input_hessian_top(model, x, labels, exact_classes=2).values > 0).all()


# -------------------------------------------------------------------------------------------------------- errors


MEASURES = pytest.mark.parametrize(
    "measure",
    [
        lambda model, x, labels: jacobian(model, x),
        lambda model, x, labels: jacobian_norm(model, x),
        lambda model, x, labels: input_hessian_top(model, x, labels),
        lambda model, x, labels: weight_hessian_top(model, x, labels),
        lambda model, x, labels: sensitivity(model, x, labels, seed=0),
    ],
    ids=["jacobian", "jacobian_norm", "input_hessian_top", "weight_hessian_top", "sensitivity"],
)
Measure = Callable[[nn.Module, Tensor, Tensor], object]


@MEASURES
def test_training_mode_is_refused(measure: Measure) -> None:
    model = network()
    model.norm.train()
    with pytest.raises(ValueError, match=r"1 modules are in training mode \(first: norm\).* call model.eval\(\) first"):
        measure(model, images(2), classes(2))
    with pytest.raises(ValueError, match=r"first: CellNetwork"):
        measure(model.train(), images(2), classes(2))


@MEASURES
def test_empty_and_infinite_batches_are_refused(measure: Measure) -> None:
    with pytest.raises(ValueError, match=r"shape \(0, 2, 8, 8\); give a batch of at least one"):
        measure(network(), images(0), classes(0))
    for bad in (math.nan, math.inf):
        x = images(3)
        x[1, 0, 2, 2] = bad
        with pytest.raises(ValueError, match=r"inputs of 1 of 3 samples are not finite \(first: row 1\)"):
            measure(network(), x, classes(3))


@MEASURES
def test_infinite_logits_are_refused(measure: Measure) -> None:
    model = network()
    nn.init.constant_(model.classifier.bias, math.nan)
    with pytest.raises(ValueError, match=r"logits of 2 of 2 samples are not finite .*diverged"):
        measure(model, images(2), classes(2))


@MEASURES
def test_other_dtypes_are_refused(measure: Measure) -> None:
    with pytest.raises(ValueError, match=r"inputs are torch.float32 on cpu, the model's parameters torch.float64"):
        measure(network(), images(2).float(), classes(2))


@MEASURES
def test_outputs_that_are_no_logits_are_refused(measure: Measure) -> None:
    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    with pytest.raises(
        ValueError, match=r"returned logits of shape \[2, 2, 8, 8\] for 2 images; give \[images, classes\]"
    ):
        measure(Maps().eval(), images(2), classes(2))


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_without_a_class_are_refused(label: int) -> None:
    labels = torch.tensor([0, label])
    for measure in (input_hessian_top, weight_hessian_top):
        with pytest.raises(ValueError, match=r"but the model has 4 classes; give labels within 0\.\.3"):
            measure(network(), images(2), labels)


def test_shapes_are_checked() -> None:
    """In tests by type, in a run by value."""
    model = network()
    for wrong in (classes(3), classes(2)[None]):
        with pytest.raises(TypeCheckError):
            input_hessian_top(model, images(2), wrong)
        with pytest.raises(ValueError, match=r"labels are torch.int64 of shape \(.*\) on cpu for 2 inputs"):
            check_batch(model, images(2), wrong)
    for wrong in (classes(2).int(), classes(2).double()):
        with pytest.raises(ValueError, match=r"give one torch.int64 class per input"):
            check_batch(model, images(2), wrong)
    with pytest.raises(ValueError, match=r"one image: image\[None\]"):
        check_batch(model, torch.zeros((), dtype=torch.float64))
    with pytest.raises(ValueError, match=r"inputs are torch.int64"):
        check_batch(nn.Flatten().eval(), torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"shape \[3, 4\] for 2 images; give \[images, classes\]"):
        check_logits(torch.zeros(3, 4), images(2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 0}, "iterations=0; give a value above 0"),
        ({"tolerance": 0.0}, "tolerance=0.0; give a value above 0"),
        ({"tolerance": math.nan}, "tolerance=nan; give a value above 0"),
        ({"batch_size": 0}, "batch_size=0; give a value above 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    model, x, labels = network(), images(2), classes(2)
    for measure in (input_hessian_top, weight_hessian_top):
        with pytest.raises(ValueError, match=message):
            measure(model, x, labels, **settings)
    with pytest.raises(ValueError, match=message):
        sensitivity(model, x, labels, seed=0, **settings)


def test_impossible_projections_are_refused() -> None:
    with pytest.raises(ValueError, match="projections=0; give a value above 0"):
        jacobian_norm(network(), images(2), projections=0)


def test_a_model_without_parameters_has_no_weight_hessian() -> None:
    with pytest.raises(ValueError, match="Flatten has no parameters"):
        weight_hessian_top(nn.Flatten().eval(), images(2), classes(2))
