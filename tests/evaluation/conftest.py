import pytest

from evaluation.data.bundled import digits
from evaluation.data.images import ImageSplits


@pytest.fixture(scope="session")
def tiny() -> ImageSplits:
    """A few digits: 96 for training, 30 for validation, 25 for the test."""
    all_digits = digits()
    return ImageSplits("tiny", 10, all_digits.train.first(96), all_digits.valid.first(30), all_digits.test.first(25))
