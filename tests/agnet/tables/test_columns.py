import itertools

import pytest

from agnet.tables.columns import ADVERSARIALLY, QUANTITIES, SPLITS, STATES, Column, parse_column

KEYS = [
    ("clean", "clean", 0.0),
    ("attack", "apgd_ce", 0.5),
    ("attack", "fgsm", 255.0),
    ("corruption", "jpeg_compression", 3.0),
]
COLUMNS = [
    *(
        Column("my_images" if split else "cifar10", split, *key, quantity)
        for split, key, quantity in itertools.product(("", *SPLITS), KEYS, QUANTITIES)
    ),
    *(Column(f"cifar10_{ADVERSARIALLY}", split, *key) for split in ("", *SPLITS) for key in KEYS),
    Column(f"digits_{ADVERSARIALLY}", "", "measure", "hessian_input_top1", 0.0, "trained"),
    *(Column("digits", "", "measure", "hessian_input_top1", 0.0, state) for state in STATES),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.name)
def test_a_name_says_what_it_was_made_of(column: Column) -> None:
    assert parse_column(column.name) == column


@pytest.mark.parametrize(
    "name", ["architecture", "isomorph", "parameters", "digits_cpu_latency_ms", "fog_s3", "test", ""]
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_column(name) is None


def test_names_differ() -> None:
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
