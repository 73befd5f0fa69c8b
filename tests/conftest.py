import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

SEED = int(os.environ.get("AGNET_TEST_SEED", "0"))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The tensors of the tests are small: threads only wait for each other, most of all under ``pytest -n``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same numbers in every run; ``AGNET_TEST_SEED`` varies them to find tests that need luck."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 (libraries under test draw from the global state)
    torch.manual_seed(SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cases of a test marked ``sample(n)`` beyond ``n`` of them, evenly spread, count as slow."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sample") is not None:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for found in cases.values():
        mark = found[0].get_closest_marker("sample")
        assert mark is not None
        kept = {round(k * (len(found) - 1) / max(mark.args[0] - 1, 1)) for k in range(mark.args[0])}
        for place, item in enumerate(found):
            if place not in kept:
                item.add_marker(pytest.mark.slow)
