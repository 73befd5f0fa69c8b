"""The command: what it runs, skips, writes and refuses."""

import csv
import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.runtime.executors import InlineExecutor
from agnet.runtime.paths import ROOT
from search import compare as command
from search.compare import main
from search.comparison.plan import PlannedRun
from search.comparison.work import run_cell


@pytest.fixture
def call(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compare two cheap optimizers on the made-up table; the report. Figures take longer than all else."""
    monkeypatch.setattr(command, "instantiate", lambda cfg, **_: InlineExecutor())

    def called(*overrides: str, figures: bool = False) -> str:
        settings = [
            "optimizers=[random_search,local_search]",
            f"objective.tables=[{table}]",
            "objective.maximize=[cifar10micro_valid]",
            "objective.report=[cifar10micro_test,parameters]",
            "budget=40",
            "seeds=3",
            f"out={tmp_path / 'out'}",
        ]
        keys = {override.split("=")[0] for override in overrides}
        kept = [setting for setting in settings if setting.split("=")[0] not in keys]
        monkeypatch.setattr(sys, "argv", ["search/compare.py", *kept, *overrides])
        with monkeypatch.context() as patch:
            if not figures:
                patch.setattr("search.comparison.figures.plot_problem", lambda *_: None)
            main()
        return (tmp_path / "out" / "report.md").read_text()

    return called


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


PROBLEMS = ("plain", "limited", "front")


def test_tables_figures_and_numbers(call: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report, out = call("at=[20,40]", figures=True), tmp_path / "out"
    said = capfd.readouterr().out
    assert "max cifar10micro_valid" in report
    assert "| random_search | 3 |" in report
    assert "| local_search | 3 |" in said
    assert "its cifar10micro_test" in report
    assert "p against random_search" in report
    assert "6 of 6 runs are finished" in report
    assert "outside the optimizers" in report
    runs = rows(out / "runs.csv")
    assert [(row["optimizer"], row["seed"], row["queries"]) for row in runs[:4]] == [
        ("random_search", "0", "20"),
        ("random_search", "0", "40"),
        ("local_search", "0", "20"),
        ("local_search", "0", "40"),
    ]
    assert all(float(row["report/cifar10micro_test"]) == float(row["best/cifar10micro_valid"]) - 1 for row in runs)
    assert all(float(row["gap"]) >= 0 for row in runs)
    queries = rows(out / "queries.csv")
    assert len(queries) == 6 * 40
    for row in runs:  # the best so far, counted again
        values = [
            float(query["cifar10micro_valid"])
            for query in queries
            if (query["optimizer"], query["seed"]) == (row["optimizer"], row["seed"])
        ]
        assert float(row["best/cifar10micro_valid"]) == max(values[: int(row["queries"])])
    assert matplotlib.image.imread(out / "nasbench201.png")[..., :3].std() > 0.01


def test_the_first_round_is_the_same_for_all(call: Any, tmp_path: Path) -> None:
    """Pairs of one seed share their start: what a paired test needs."""
    call()
    queries = rows(tmp_path / "out" / "queries.csv")
    for seed in "012":
        starts = [
            [q["architecture"] for q in queries if (q["optimizer"], q["seed"]) == (name, seed)][:16]
            for name in ("random_search", "local_search")
        ]
        assert starts[0] == starts[1]


def test_what_is_done_is_skipped(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("seeds=2")
    before = (tmp_path / "out" / "queries.csv").read_text()
    done: list[PlannedRun] = []

    def watched(cell: PlannedRun) -> None:
        done.append(cell)
        run_cell(cell)

    monkeypatch.setattr(command, "run_cell", watched)
    call("seeds=2")
    assert done == []
    assert (tmp_path / "out" / "queries.csv").read_text() == before
    call()
    assert [(cell.optimizer, cell.seed) for cell in done] == [("random_search", 2), ("local_search", 2)]
    call("seeds=1", "force=true")
    assert len(done) == 4


@pytest.mark.parametrize("protocol", ["learned", "looked_up"])
def test_limits_and_their_protocol_are_in_the_table(call: Any, tmp_path: Path, protocol: str) -> None:
    limit = "objective.constraints={cifar10micro_cpu_latency_ms: {max: 0.5}}"
    report = call(limit, f"objective.protocol={protocol}", "objective.report=[cifar10micro_test]")
    free = {"learned": "learned, known after a query", "looked_up": "looked up, free"}[protocol]
    assert f"subject to cifar10micro_cpu_latency_ms <= 0.5 ({free})" in report
    assert "feasible queries" in report
    shares = {row["feasible_share"] for row in rows(tmp_path / "out" / "runs.csv")}
    assert (shares == {"1.0"}) is (protocol == "looked_up")


def test_nothing_feasible_is_no_number(call: Any, tmp_path: Path) -> None:
    limit = "objective.constraints={cifar10micro_cpu_latency_ms: {max: 0.01}}"
    report = call(limit, "objective.report=[cifar10micro_test]", figures=True)
    assert "No architecture can: none of the 15625" in report
    assert "(3 without)" in report
    assert {row["best/cifar10micro_valid"] for row in rows(tmp_path / "out" / "runs.csv")} == {""}


def test_several_objectives_are_compared_by_hypervolume(call: Any, tmp_path: Path) -> None:
    report = call("objective.minimize=[cifar10micro_cpu_latency_ms]", "objective.report=[cifar10micro_test]")
    assert "hypervolume share @40" in report
    assert "reference point: cifar10micro_valid" in report
    shares = [float(row["hypervolume_share"]) for row in rows(tmp_path / "out" / "runs.csv")]
    assert all(0 < share <= 1 for share in shares)


def test_three_objectives(call: Any, tmp_path: Path) -> None:
    call(
        "objective.maximize=[cifar10micro_valid,cifar10micro_valid_pgd_eps4]",
        "objective.minimize=[cifar10micro_cpu_latency_ms]",
        figures=True,
    )
    assert matplotlib.image.imread(tmp_path / "out" / "nasbench201.png")[..., :3].std() > 0.01


def test_several_problems_have_an_overview(call: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    limit = "objective.constraints={cifar10micro_cpu_latency_ms:{max: 0.5}}"
    problems = f"problems={{plain: ['threads=1'], limited: ['{limit}'], front: ['objective.minimize=[parameters]']}}"
    report = call(problems, "at=[20,40]", "objective.report=[]", "brief=true", figures=True)
    [plain, limited, front] = [next(x for x in report.splitlines() if x.startswith(f"| {n}")) for n in PROBLEMS]
    runs = rows(tmp_path / "out" / "runs.csv")
    best = [float(r["best/cifar10micro_valid"]) for r in runs if r["problem"] == "plain" and r["queries"] == "40"]
    assert f"{sum(best[::2]) / 3:.2f} ±" in plain or f"{sum(best[1::2]) / 3:.2f} ±" in plain
    assert "[at optimum @20, @40]" in plain
    assert ": gap @40" in limited
    assert ": share of hypervolume @20, @40" in front
    shown = capfd.readouterr().out
    assert plain in shown
    assert "p against" not in shown, "brief"
    assert "p against" in report


def test_a_failed_run_fails_the_command_and_loses_nothing(
    call: Any, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(cell: PlannedRun) -> None:
        if str(cell).endswith("search, seed 1"):
            raise OSError(errno.ENOSPC, "No space left on device")
        run_cell(cell)

    with monkeypatch.context() as patch:
        patch.setattr(command, "run_cell", failing)
        said = refused()
    assert "2 of 6 runs failed" in said
    assert "No space left on device" in said
    out = tmp_path / "out"
    assert len((out / "failures.txt").read_text().splitlines()) == 2
    assert "4 of 6 runs are finished" in (out / "report.md").read_text()
    assert "6 of 6 runs are finished" in call()
    assert not (out / "failures.txt").exists()


@pytest.mark.parametrize(("mark", "more"), [("nasbench201", []), ("mine", ["mark=mine"])])
def test_the_table_goes_where_it_is_read(call: Any, tmp_path: Path, mark: str, more: list[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n<!-- begin: {mark} -->\nold\n<!-- end: {mark} -->\nafter\n")
    call(f"into={readme}", *more)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| random_search | 3 |" in text
    assert "old" not in text


@contextmanager
def held(folder: Path) -> Iterator[None]:
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
    os.close(handle)


@pytest.mark.slow
def test_two_comparisons_in_one_folder(refused: Any, tmp_path: Path) -> None:
    with held(tmp_path / "out"):
        assert "another process works in" in refused()


def test_runs_on_another_table_are_not_averaged(call: Any, refused: Any, table: Path, tmp_path: Path) -> None:
    content, path = pq.read_table(table).replace_schema_metadata(), tmp_path / "mine.parquet"
    pq.write_table(content, path)
    mine = f"objective.tables=[{path}]"
    call("seeds=1", mine)
    index = content.column_names.index("cifar10micro_valid")
    changed = pa.array(content["cifar10micro_valid"].to_numpy() + 1.0)
    pq.write_table(content.set_column(index, "cifar10micro_valid", changed), path)
    assert "inputs.objective" in refused("seeds=2", mine)
    assert "| random_search | 2 |" in call("seeds=2", mine, "force=true")


def test_edited_results_and_cut_histories_are_not_believed(call: Any, refused: Any, tmp_path: Path) -> None:
    call("seeds=1")
    said = (tmp_path / "out" / "queries.csv").read_text()
    [result] = (tmp_path / "out" / "runs").rglob("random_search/seed0/result.json")
    text = result.read_text()
    result.write_text(text.replace('"queries": 40', '"queries": 41').replace("8", "9"))
    call("seeds=1")
    assert (tmp_path / "out" / "queries.csv").read_text() == said
    assert result.read_text() == text
    history = result.with_name("history.jsonl")
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:-1]))
    assert "history.jsonl" in refused("seeds=1")


def test_another_configuration_is_refused(call: Any, refused: Any) -> None:
    call("seeds=1")
    said = refused("seeds=1", "budget=50")
    assert "budget is 40 there and 50 here" in said


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optimizers=[annealing]"], ["annealing", "random_search"]),
        (["optimizers=[]"], ["names nothing to compare"]),
        (["seeds=0"], ["seeds=0", "from 1"]),
        (["seeds=many"], ["seeds=many", "a whole number"]),
        (["first_seed=-1"], ["first_seed=-1", "from 0"]),
        (["first_seed=2147483647", "seeds=3"], ["first_seed=2147483647, seeds=3", "give a smaller first_seed"]),
        (["at=5"], ["at=5", "numbers of queries, e.g. [96,192]"]),
        (["brief=5"], ["brief=5", "true or false"]),
        (["show=parameters"], ["show=parameters", "[parameters]"]),
        (["out="], ["out=", "a path"]),
        (["at=[0]"], ["at=[0]", "numbers of queries"]),
        (["baseline=agnet"], ["baseline=agnet", "random_search, local_search"]),
        (["only=[hard]"], ["hard", "choose from [nasbench201]"]),
        (["objective.tables=[nowhere.parquet]"], ["nowhere.parquet"]),
        (["objective.minimize=[cifar10micro_valid]"], ["cifar10micro_valid", "one role"]),
        (["executor=cloud"], ["cloud", "local"]),
    ],
)
def test_what_the_user_can_put_right_is_said_in_words(
    refused: Any, tmp_path: Path, overrides: list[str], expected: list[str]
) -> None:
    said = refused(*overrides)
    assert [part for part in expected if part not in said] == []
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_a_killed_comparison_continues(table: Path, tmp_path: Path) -> None:
    """As a user starts it, with processes of its own, killed with SIGKILL in the middle and started again."""
    arguments = [
        *(sys.executable, "-m", "search.compare", "optimizers=[random_search,local_search]", "seeds=40", "budget=192"),
        *(f"objective.tables=[{table}]", "objective.maximize=[cifar10micro_valid]", "objective.report=[]"),
        *(f"out={tmp_path / 'out'}", "executor.workers=1"),
    ]
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/runs/*/*/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list(tmp_path.glob("out/runs/*/*/*/result.json")))
    assert 0 < finished < 80
    done = subprocess.run([*arguments, "seeds=3"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| random_search | 3 |" in done.stdout
    assert len(rows(tmp_path / "out" / "queries.csv")) == 6 * 192
