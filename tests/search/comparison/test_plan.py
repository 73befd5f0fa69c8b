"""What a comparison consists of."""

from pathlib import Path
from typing import Any

import pytest

from agnet.errors import ConfigurationError
from search.comparison.plan import Plan, make_plan, slug

SETTINGS: dict[str, Any] = {
    "optimizers": ["random_search", {"greedy": ["optimizer=agnet", "optimizer.proposal.steps=0"]}],
    "problems": None,
    "only": None,
    "seeds": 2,
    "first_seed": 0,
}


def plan(overrides: list[str] | None = None, **changes: Any) -> Plan:
    return make_plan(SETTINGS | changes, overrides or [], default_problem="mine", out=Path("out"))


def test_every_problem_optimizer_and_seed_once() -> None:
    problems = {"clean": ["objective.maximize=[cifar10micro_valid]"], "PGD <= 8": ["budget=64"]}
    made = plan(problems=problems, first_seed=5)
    assert len(made.cells) == len({cell.folder for cell in made.cells}) == 8
    assert [cell.seed for cell in made.cells] == [5] * 4 + [6] * 4  # an interrupted one has some of everything
    assert list(made.problems) == list(problems)
    assert made.cells[3].folder == Path("out/runs/PGD_8/greedy/seed5")
    assert made.cells[3].config["optimizer"]["proposal"]["steps"] == 0
    assert made.cells[3].config["budget"] == 64
    assert made.cells[0].config["objective"]["maximize"] == ["cifar10micro_valid"]
    assert made.cells[-1].config["seed"] == 6


def test_the_users_overrides_reach_every_run_but_those_of_the_comparison() -> None:
    made = plan(["budget=99", "seeds=7", "out=elsewhere", "optimizers=[agnet]", "seed=3", "executor.workers=4"])
    assert {cell.config["budget"] for cell in made.cells} == {99}
    assert [cell.seed for cell in made.cells] == [0, 0, 1, 1]
    assert not {"seeds", "out", "optimizers", "executor"} & set(made.cells[0].config)


def test_a_problem_overrides_what_the_user_has_set_for_all() -> None:
    made = plan(["budget=99"], problems={"long": ["budget=200"], "as it is": []})
    assert [made.problems[name]["budget"] for name in ("long", "as it is")] == [200, 99]


def test_some_problems_only() -> None:
    problems = {"a": ["budget=50"], "b": ["budget=60"]}
    assert list(plan(problems=problems, only=["b"]).problems) == ["b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": ["annealing"]}, r"annealing(?s:.*)random_search"),
        ({"optimizers": []}, "names nothing to compare"),
        ({"optimizers": "agnet"}, "optimizers=agnet"),
        ({"optimizers": ["agnet", "agnet"]}, "agnet stands there twice"),
        ({"optimizers": ["a b", {"a_b": []}]}, "shares its folder"),
        ({"optimizers": [{"x": "optimizer=agnet"}]}, "neither a name nor a variant"),
        ({"optimizers": [3]}, "neither a name nor a variant"),
        ({"problems": ["a"]}, "must map labels"),
        ({"problems": {"a": ["budgit=3"]}}, "budgit"),
        ({"only": ["c"]}, r"only=\['c'\]: choose from \[mine\]"),
    ],
)
def test_plans_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        plan(**changes)


def test_labels_as_file_names() -> None:
    assert slug("L=2 joint=1") == "L=2_joint=1"
    assert slug("../..") == "_"
    assert slug("a/b c") == "a_b_c"
