import math

import torch

from evaluation.randomness import bits, code, integers, keys, normal, signs, uniform


def test_the_mixer_is_splitmix64() -> None:
    # first outputs of SplitMix64 seeded with 0, as published with the generator: 0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4
    from evaluation.randomness import _GOLDEN, _mix

    state = torch.tensor([_GOLDEN, _GOLDEN]) * torch.tensor([1, 2])
    assert [f"{x & (2**64 - 1):016X}" for x in _mix(state).tolist()] == ["E220A8397B1DCDAF", "6E789E6AA1B965F4"]


def test_draws_belong_to_the_key_and_not_to_the_batch() -> None:
    everything = keys(3, "pgd", torch.arange(10), code(torch.linspace(0, 1, 10)))
    part = keys(3, "pgd", torch.arange(4, 7), code(torch.linspace(0, 1, 10)[4:7]))
    assert part.equal(everything[4:7])
    assert uniform(part, (2, 5)).equal(uniform(everything, (2, 5))[4:7])
    assert uniform(part, (2, 5), stream=torch.tensor([1, 2, 3]))[1].equal(uniform(part, (2, 5), stream=2)[1])


def test_seed_name_item_radius_and_stream_all_matter() -> None:
    one = torch.zeros(1, dtype=torch.int64)
    eps = code(torch.tensor([0.5]))
    variants = [
        bits(keys(0, "a", one, eps), (1,)),
        bits(keys(1, "a", one, eps), (1,)),
        bits(keys(0, "b", one, eps), (1,)),
        bits(keys(0, "a", one + 1, eps), (1,)),
        bits(keys(0, "a", one, code(torch.tensor([1.0]))), (1,)),
        bits(keys(0, "a", one, eps), (1,), stream=1),
    ]
    assert len({int(v) for v in variants}) == len(variants)


def test_distributions() -> None:
    many = keys(0, "x", torch.arange(2000))
    u = uniform(many, (100,))
    assert float(u.min()) >= 0
    assert float(u.max()) < 1
    n = u.numel()
    assert abs(float(u.mean()) - 0.5) < 5 * math.sqrt(1 / 12 / n)
    # neighbouring positions and neighbouring keys are uncorrelated
    centred = (u - 0.5).double() * math.sqrt(12)
    assert abs(float((centred[:, 1:] * centred[:, :-1]).mean())) < 5 / math.sqrt(n)
    assert abs(float((centred[1:] * centred[:-1]).mean())) < 5 / math.sqrt(n)
    counts = torch.bincount(integers(many, (100,), 7).flatten(), minlength=7)
    expected = n / 7
    assert float(((counts - expected) ** 2 / expected).sum()) < 27  # chi-squared, 6 degrees of freedom, p = 1e-4
    assert set(signs(many, (3,)).unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs(many, (100,)).mean())) < 5 / math.sqrt(n)
    g = normal(many, (100,)).double()
    assert abs(float(g.mean())) < 5 / math.sqrt(n)
    assert abs(float(g.var()) - 1) < 5 * math.sqrt(2 / n)
    assert abs(float((g**4).mean()) - 3) < 0.2


def test_integers_take_one_bound_per_key() -> None:
    bounds = torch.tensor([1, 2, 30])
    drawn = integers(keys(0, "x", torch.arange(3)), (500,), bounds)
    assert (drawn.amax(dim=1) == bounds - 1).all()
    assert (drawn.amin(dim=1) == 0).all()
