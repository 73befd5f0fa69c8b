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
