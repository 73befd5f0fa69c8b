"""The loop: what counts as a query, what an optimizer must not do, and that no interruption changes the outcome."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agnet.errors import AGNetError, ConfigurationError, RunDirectoryError, TaskError
from agnet.multiobjective.outcomes import Outcomes
from agnet.runtime.paths import ROOT
from agnet.runtime.sealed import read_sealed
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.goal import Goal
from agnet.tables.objective import AbstractObjective, Objective, Report, read_objective
from agnet.tables.table import Table
from search import loop
from search.baselines.random_search import RandomSearch
from search.history import History, read_queries
from search.loop import HISTORY_FILE, STATE_FILE, run_search

Pair = tuple[Objective, Report]


class Climber(RandomSearch):
    """Changes one operation of the best it was told: what it asks depends on every value and on every draw."""

    def __init__(self, space: NASBench201, *, seed: int) -> None:
        super().__init__(space, seed=seed)
        self.values: list[float] = []
        self.candidates: list[str] = []

    def ask(self, n: int) -> list[str]:
        self.candidates = super().ask(2 * n)
        if self.values:
            told = self.archive.architectures
            best = told[max(range(len(told)), key=lambda i: self.values[i])]
            like = [sum(a == b for a, b in zip(c, best, strict=False)) for c in self.candidates]
            self.candidates = [self.candidates[i] for i in sorted(range(2 * n), key=lambda i: -like[i])]
        return self.candidates[:n]

    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        super().tell(architectures, outcomes)
        self.values += outcomes.values[:, 0].tolist()

    def pool(self) -> list[str]:
        return self.candidates

    def predictions(self) -> Tensor | None:
        return torch.arange(len(self.candidates), 0, -1).double()[:, None] if self.values else None

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.values = list(state["values"])


def outcome(history: History) -> list[tuple[object, ...]]:
    """All but the times."""
    queried = [(q.index, q.architecture, q.values, q.round) for q in history.queries]
    return queried + [(r.queries, r.surrogate_spearman, r.diagnostics) for r in history.rounds]


def search(space: NASBench201, pair: Pair, folder: Path | None = None, **overrides: Any) -> History:
    settings = {"budget": 40, "initial": 10, "batch": 12} | overrides
    return run_search(space, pair[0], Climber(space, seed=3), run_directory=folder, **settings)


def test_rounds_and_counting(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    sizes = []
    history = search(space, one, tmp_path, observer=lambda h: sizes.append(len(h)))
    assert sizes == [10, 22, 34, 40]
    assert [r.queries for r in history.rounds] == sizes
    assert [q.round for q in history.queries] == [0] * 10 + [1] * 12 + [2] * 12 + [3] * 6
    assert len({q.architecture for q in history.queries}) == 40
    assert read_queries(tmp_path / HISTORY_FILE) == history.queries
    assert [q.seconds for q in history.queries] == sorted(q.seconds for q in history.queries)
    values = one[0]([q.architecture for q in history.queries])[:, 0].tolist()
    assert [q.values for q in history.queries] == [{"cifar10micro_valid": v} for v in values]


def test_values_are_in_natural_directions(space: NASBench201, two: Pair) -> None:
    for query in search(space, two).queries:
        assert query.values["cifar10micro_cpu_latency_ms"] > 0


def test_the_optimizer_is_told_values_to_maximise(space: NASBench201, two: Pair) -> None:
    told: dict[str, list[float]] = {}

    class Listener(RandomSearch):
        def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
            super().tell(architectures, outcomes)
            told.update(zip(architectures, outcomes.values.tolist(), strict=True))

    history = run_search(space, two[0], Listener(space, seed=0), budget=40)
    assert told == {
        q.architecture: [q.values["cifar10micro_valid"], -q.values["cifar10micro_cpu_latency_ms"]]
        for q in history.queries
    }


class Priced(Objective):
    """A table that tells nothing without a query."""

    def look_up(self, architectures: Sequence[str]) -> Any:
        return None


def test_the_surrogate_is_judged_without_queries(space: NASBench201, one: Pair) -> None:
    judged, unjudged = search(space, one), search(space, (Priced(one[0].goal, one[0].table), one[1]))
    assert judged.rounds[0].surrogate_spearman is None  # the first round has no predictions
    assert all(r.surrogate_spearman is not None for r in judged.rounds[1:])
    assert all(r.surrogate_spearman is None for r in unjudged.rounds)
    assert [q.architecture for q in judged.queries] == [q.architecture for q in unjudged.queries]


class Few(NASBench201):
    """The first 30 cells."""

    size = 30

    def sample(self, n: int, *, rng: torch.Generator) -> list[str]:
        return [self.enumerate()[i] for i in torch.randint(30, (n,), generator=rng).tolist()]


@pytest.mark.parametrize("batch", [8, 10])  # the space ends within a round, and between two
def test_an_exhausted_space_ends_the_search(one: Pair, batch: int, tmp_path: Path) -> None:
    few = Few()
    for _ in range(2):  # the second time there is nothing left to ask
        optimizer = RandomSearch(few, seed=0)
        history = run_search(few, one[0], optimizer, budget=50, initial=10, batch=batch, run_directory=tmp_path)
        assert sorted(q.architecture for q in history.queries) == sorted(few.enumerate()[:30])
        assert history.rounds[-1].queries == 30


def misbehave(space: NASBench201, pair: Pair, change: Callable[[list[str], list[str]], list[str]]) -> None:
    class Rogue(RandomSearch):
        def ask(self, n: int) -> list[str]:
            return change(super().ask(n), self.archive.architectures)

    run_search(space, pair[0], Rogue(space, seed=0), budget=40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda new, told: [*new[1:], new[1]], "again"),
        (lambda new, told: new if not told else [*new[1:], told[3]], "again"),
        (lambda new, told: [*new[1:], "|conv~0|"], r"not in the space.*\|conv~0\|"),
        (lambda new, told: [*new, *NASBench201().enumerate()[:9]], "where 16 were asked for"),
        (lambda new, told: new[1:], "only 0 of 15625 are known"),
        (lambda new, told: [], "only 0 of 15625 are known"),
    ],
)
def test_a_defect_of_the_optimizer_is_named(
    space: NASBench201, one: Pair, change: Callable[[list[str], list[str]], list[str]], message: str
) -> None:
    with pytest.raises(RuntimeError, match=message) as caught:
        misbehave(space, one, change)
    assert caught.value.__cause__ is None  # commands would take an AGNetError behind it for the user's mistake


def test_values_must_be_finite(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    class Broken(AbstractObjective):
        goal = Goal(maximize=("x",))

        def __call__(self, architectures: Sequence[str]) -> Tensor:
            return torch.full((len(architectures), 1), torch.nan)

    with pytest.raises(TaskError, match=r"x is nan for \|.*correct the evaluation"):
        run_search(space, Broken(), RandomSearch(space, seed=0), budget=40, run_directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "schedule", [{"budget": 16}, {"budget": 0}, {"budget": -1}, {"initial": 0}, {"batch": 0}, {"initial": 192}]
)
def test_schedules_that_are_none(space: NASBench201, one: Pair, schedule: dict[str, int]) -> None:
    name, value = next(iter(schedule.items()))
    with pytest.raises(ConfigurationError, match=rf"{name}={value}\b"):
        run_search(space, one[0], RandomSearch(space, seed=0), **({"budget": 192} | schedule))


class Interruption(BaseException):
    """Like Ctrl-C: nothing but ``finally`` runs."""


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str, call: int, *, after: bool) -> None:
    """Let the ``call``-th call of a function of the loop fail, before or after its work."""
    original, calls = vars(loop)[name], [0]

    def failing(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == call and not after:
            raise Interruption
        value = original(*args, **kwargs)
        if calls[0] == call:
            raise Interruption
        return value

    monkeypatch.setattr(loop, name, failing)


@pytest.mark.parametrize("name", ["_check_proposals", "surrogate_spearman", "append_queries", "save_state"])
def test_an_interruption_anywhere_changes_nothing(
    space: NASBench201, two: Pair, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = search(space, two, tmp_path / "..")
    for call in (1, 2, 4):
        for after in (False, True):
            folder = tmp_path / f"{call}{after}"
            folder.mkdir()
            with monkeypatch.context() as patch:
                interrupt(patch, name, call, after=after)
                with pytest.raises(Interruption):
                    search(space, two, folder)
            assert outcome(search(space, two, folder)) == outcome(expected)
            assert [q.architecture for q in read_queries(folder / HISTORY_FILE)] == [
                q.architecture for q in expected.queries
            ]


def test_saving_now_and_then_changes_nothing(
    space: NASBench201, two: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes once, at the end; killed before it, all is repeated."""
    expected = search(space, two)
    with monkeypatch.context() as patch:
        interrupt(patch, "surrogate_spearman", 4, after=True)
        with pytest.raises(Interruption):
            search(space, two, tmp_path, save_every=60.0)
    assert list(tmp_path.iterdir()) == []
    assert outcome(search(space, two, tmp_path, save_every=60.0)) == outcome(expected)
    assert len(read_queries(tmp_path / HISTORY_FILE)) == 40
    assert outcome(search(space, two, tmp_path)) == outcome(expected)


def test_a_finished_search_asks_nothing(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    first = search(space, one, tmp_path)
    sizes: list[int] = []
    again = search(space, one, tmp_path, observer=lambda h: sizes.append(len(h)))
    assert sizes == [40]
    assert again.queries == first.queries
    assert again.rounds == first.rounds


def test_time_goes_on_where_it_stopped(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    first = search(space, one, tmp_path, budget=22)
    state = torch.load(io.BytesIO(read_sealed(tmp_path / STATE_FILE, kind="search state").content), weights_only=True)
    torch.save(  # without a seal, as an earlier revision wrote it
        {**state, "rounds": [state["rounds"][0], {**state["rounds"][1], "seconds": 900.0}]}, tmp_path / STATE_FILE
    )
    assert search(space, one, tmp_path).queries[len(first)].seconds >= 900


def test_a_larger_budget_continues(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    search(space, one, tmp_path, budget=34)  # the end of a round
    assert outcome(search(space, one, tmp_path)) == outcome(search(space, one))


def test_damage_is_refused_with_a_remedy(space: NASBench201, one: Pair, two: Pair, tmp_path: Path) -> None:
    search(space, one, tmp_path)
    state, history = ((tmp_path / name).read_bytes() for name in (STATE_FILE, HISTORY_FILE))

    with pytest.raises(RunDirectoryError, match="the objective is cifar10micro_valid, cifar10micro_cpu_latency_ms"):
        search(space, two, tmp_path)
    (tmp_path / HISTORY_FILE).write_bytes(history[:100])
    with pytest.raises(RunDirectoryError, match="holds 0 queries, but 40 were finished"):
        search(space, one, tmp_path)
    (tmp_path / HISTORY_FILE).write_bytes(history)
    for damaged in (b"", b"nonsense", state[: len(state) // 2]):
        (tmp_path / STATE_FILE).write_bytes(damaged)
        with pytest.raises(RunDirectoryError, match=r"is damaged \(its content does not match its hash\).*force=true"):
            search(space, one, tmp_path)
    (tmp_path / STATE_FILE).write_bytes(state)
    assert len(search(space, one, tmp_path)) == 40


@pytest.mark.parametrize("name", [STATE_FILE, HISTORY_FILE])
def test_a_flipped_bit_is_refused_or_changes_nothing(space: NASBench201, one: Pair, tmp_path: Path, name: str) -> None:
    whole = search(space, one, tmp_path, budget=22)
    data, rng = (tmp_path / name).read_bytes(), random.Random(name)
    others = {p: p.read_bytes() for p in tmp_path.iterdir()}
    said: list[str] = []
    for _ in range(150):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if not rng.randrange(5):
            del damaged[rng.randrange(len(data)) :]
        for path, content in others.items():
            path.write_bytes(content)
        (tmp_path / name).write_bytes(damaged)
        try:
            assert outcome(search(space, one, tmp_path, budget=22)) == outcome(whole)
        except AGNetError as error:
            said.append(str(error))
    assert len(said) >= 149
    assert all("\n" not in text and "weights_only" not in text and str(tmp_path) in text for text in said)


def test_swapped_lines_and_changed_values_are_refused(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    class Live(AbstractObjective):
        goal = one[0].goal

        def __call__(self, architectures: Sequence[str]) -> Tensor:
            return one[0](architectures)

    def run() -> None:
        run_search(space, Live(), RandomSearch(space, seed=0), budget=22, run_directory=tmp_path)

    run()
    history = (tmp_path / HISTORY_FILE).read_text()
    rows = [json.loads(row) for row in history.splitlines()]
    rows[3]["values"]["cifar10micro_valid"] += 1
    (tmp_path / HISTORY_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RunDirectoryError, match=r"history\.jsonl was changed after it was written: its first 22 lines"):
        run()


def test_a_state_of_another_search_is_refused(space: NASBench201, one: Pair, tmp_path: Path) -> None:
    search(space, one, tmp_path, budget=22, identity={"config": {"seed": 1}, "inputs": {"table": "a" * 64}})
    with pytest.raises(
        RunDirectoryError, match=r"config.seed is 1 there and 2 here; inputs.table is aaaaaaaaaaaa\.\.\."
    ):
        search(space, one, tmp_path, identity={"config": {"seed": 2}, "inputs": {"table": "b" * 64}})


def test_a_changed_table_is_noticed(space: NASBench201, one: Pair, table: Path, tmp_path: Path) -> None:
    search(space, one, tmp_path, budget=22)
    other = read_objective([table], ["cifar10micro_valid_pgd_eps4"])[0]
    renamed = Objective(one[0].goal, Table(("cifar10micro_valid",), other.table.values, other.table.rows))
    with pytest.raises(RunDirectoryError, match="the table has changed"):
        search(space, (renamed, one[1]), tmp_path)


@pytest.mark.slow
def test_sigkill_at_any_step_changes_nothing(table: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("killed_search.py")), str(tmp_path), str(table)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    # three rounds of six steps: half a line, all lines, before and after saving, before and after replacing
    assert report["ends"][0] == 0
    assert all(end % 100 == -9 % 100 for end in report["ends"][1:19])
    assert report["ends"][19:] == [0, 0]
    assert any(end < -100 for end in report["ends"])  # some were killed more than once
    expected = report["folders"][0]
    assert len(expected["queries"]) == expected["state"] == len(expected["told"]) == 9
    assert all(folder == expected for folder in report["folders"])
