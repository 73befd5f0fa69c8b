import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from agnet.errors import AGNetError
from agnet.runtime.paths import CONF_DIR
from search.propose import run
from search.run import execute

SMALL = ["budget=32", "progress=false", "plot=false", "objective.report=[]"]
FEWER = ["optimizer.proposal.prior=256", "optimizer.proposal.ascents=32", "optimizer.proposal.refinements=2"]
"""Candidates than by default."""

LATENCY = "cifar10micro_cpu_latency_ms"
Ask = Callable[..., str]


def searched(out: Path, *overrides: str) -> Path:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("search", overrides=[*SMALL, *overrides])
    execute(cfg, optimizer_name="x", run_directory=out)
    return out


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched(
        tmp_path_factory.mktemp("run") / "front",
        *FEWER,
        "objective.maximize=[cifar10micro_test_pgd_eps4]",
        f"objective.minimize=[{LATENCY}]",
    )


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(folder: Path, *overrides: str) -> str:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
            cfg = compose("propose", overrides=[f"run_dir={folder}", *overrides])
        run(cfg)
        return capsys.readouterr().out

    return asked


def test_a_list_with_predictions(front: Path, ask: Ask, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in front.iterdir()}
    shown = ask(front, f"want={{{LATENCY}: {{max: 0.4}}}}", "n=7", f"out={tmp_path / 'list.csv'}")
    assert f"{LATENCY} <= 0.4" in shown
    with (tmp_path / "list.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(i) for i in range(1, 8)]
    assert len({row["architecture"] for row in rows}) == 7
    assert all(row["architecture"] in shown for row in rows)
    asked = (front / "history.jsonl").read_text()
    assert not any(row["architecture"] in asked for row in rows)
    chances = [float(row["probability"]) for row in rows]
    assert all(0 <= p <= 1 for p in chances)
    assert chances[0] > 0.8
    assert float(rows[0][LATENCY]) < 0.4
    assert float(rows[0][f"{LATENCY}_std"]) > 0
    assert {p.name: p.read_bytes() for p in front.iterdir()} == before, "a finished run is only read"


def test_the_same_question_has_the_same_answer_and_tighter_ones_others(front: Path, ask: Ask) -> None:
    loose, again, tight = (ask(front, f"want={{{LATENCY}: {{max: {x}}}}}", "n=5") for x in (0.5, 0.5, 0.25))
    assert loose == again != tight
    assert "5):" in ask(front, "n=5")  # no bounds at all


@pytest.mark.slow
def test_limits_of_the_search_hold_without_others(tmp_path: Path, ask: Ask) -> None:
    folder = searched(
        tmp_path / "limited",
        *FEWER,
        "objective.maximize=[cifar10micro_valid]",
        f"objective.constraints={{{LATENCY}: {{max: 0.4}}}}",
    )
    shown = ask(folder, "n=3")
    assert f"{LATENCY} <= 0.4" in shown
    assert shown.count(f"{LATENCY} 0.") >= 3  # expected, although not an objective


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("want={flops: {max: 1}}", "flops"),
        (f"want={{{LATENCY}: 0.4}}", "want"),
        ("n=0", "n=0"),
        ("out=list.txt", "list.txt"),
        ("seed=-1", "seed=-1"),
    ],
)
def test_bad_questions_are_named(front: Path, ask: Ask, override: str, message: str) -> None:
    with pytest.raises(AGNetError, match=message):
        ask(front, override)


def test_folders_that_cannot_answer_are_named(tmp_path: Path, ask: Ask) -> None:
    with pytest.raises(AGNetError, match="holds no search"):
        ask(tmp_path / "nothing")
    folder = searched(tmp_path / "random", "optimizer=random_search", "objective.maximize=[cifar10micro_valid]")
    with pytest.raises(AGNetError, match="optimizer=agnet"):
        ask(folder)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"_target_": "os.system", "command": "touch pwned"}, "asks for 'os.system'"),
        ({"_target_": "agnet.runtime.files.write_text", "path": "pwned", "text": ""}, "asks for 'agnet.runtime.files"),
        ({"_target_": "search.nasbench301_official_objective", "python": "./evil"}, "starts a program"),
    ],
)
@pytest.mark.parametrize("key", ["space", "objective", "optimizer"])
def test_a_folder_from_a_stranger_runs_nothing(
    front: Path, ask: Ask, tmp_path: Path, section: dict[str, str], said: str, key: str
) -> None:
    folder = tmp_path / "sent"
    shutil.copytree(front, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, key: section}))
    with pytest.raises(AGNetError, match=said):
        ask(folder)


def test_an_edited_folder_is_refused(front: Path, ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(front, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "seed": 77}))
    with pytest.raises(AGNetError, match=r"configuration is .* there and .* here"):
        ask(folder)
