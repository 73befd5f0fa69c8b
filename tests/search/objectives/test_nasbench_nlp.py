"""Losses that follow a rule, made here, so that what the trees should learn is known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.stats import spearmanr

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.runtime.paths import ROOT
from agnet.spaces.nasbench_nlp.notation import parse
from agnet.spaces.nasbench_nlp.space import NASBenchNLP
from agnet.tables.table import write_table
from benchmarks.recurrent_surrogate import held_out
from search.objectives import nasbench_nlp
from search.objectives.nasbench_nlp import NASBenchNLPSurrogate, Trainings, nasbench_nlp_objective
from search.objectives.recurrent_features import recurrent_features

SPACE = NASBenchNLP()
DATA = ROOT.parent / "shared" / "data"


def loss(architecture: str) -> float:
    """Gates and activations help, and a cell whose new output is a linear diverges."""
    parts = parse(architecture)
    names = [part.name for part in parts]
    last = parts[parts[-1].sources[parts[-1].marked] - 4].name
    return float("nan") if last == "linear" else 6.0 - 0.1 * names.count("sigm") - 0.3 * names.count("blend")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nasbench_nlp, "ROUNDS", 100)


@pytest.fixture(scope="module")
def cells() -> list[str]:
    return list(dict.fromkeys(SPACE.sample(400, rng=torch.Generator().manual_seed(0))))


@pytest.fixture(scope="module")
def trainings(cells: list[str]) -> Trainings:
    return Trainings(cells, {"ptb_test_loss": np.array([loss(cell) for cell in cells])})


@pytest.fixture
def table(tmp_path: Path, trainings: Trainings) -> str:
    path = tmp_path / "table.parquet"
    values = pa.array(trainings.losses["ptb_test_loss"], from_pandas=True)
    write_table(path, pa.table({"architecture": list(trainings.architectures), "ptb_test_loss": values}), {})
    return str(path)


def test_features_of_a_cell() -> None:
    def features(text: str) -> np.ndarray:
        return recurrent_features(SPACE, [text])[0]

    found = features("linear(0,1)|tanh(4)|output(*5)")
    assert found[:7].tolist() == [0, 1, 0, 0, 0, 1, 0]  # operations
    assert found[7:9].tolist() == [1, 4]  # states, edges
    assert found[9:11].tolist() == [1, 0]  # linears with two, with three sources
    assert np.isfinite(found).all()
    twice = features("linear(0,1)|linear(0,1)|sum(4,5)|output(*6)")
    assert twice.shape == found.shape
    one, other = "linear(0,1)|tanh(4)|sigm(4)|sum(5,6)|output(*7)", "linear(0,1)|sigm(4)|tanh(4)|sum(5,6)|output(*7)"
    assert np.array_equal(features(one), features(other)), "the numbering makes no difference"


def test_states_that_can_grow_are_told_from_bounded_ones() -> None:
    bounds = 7 + 1 + 1 + 2 + 11 * 11 + 11 + 11
    for text, states, output in (
        ("linear(0,1)|tanh(4)|output(*5)", 3, 1),
        ("linear(0,1)|tanh(4)|sum(1,5)|output(*6)", 2, 0),
        ("linear(0,1)|tanh(4)|prod(1,2)|prod(5,6)|linear(0,3)|sigm(8)|output(5,*7,9)", 2, 0),
        ("linear(0,1)|tanh(4)|linear(0,2)|sigm(6)|sum(5,7)|output(5,*8)", 3, 1),
    ):
        found = recurrent_features(SPACE, [text])[0, bounds : bounds + 2].tolist()
        assert found == [states, output]


def test_the_same_seed_fits_the_same_trees(trainings: Trainings, cells: list[str]) -> None:
    first, again, other = (NASBenchNLPSurrogate(trainings, seed)(cells[:20]) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    shuffled = NASBenchNLPSurrogate(trainings)(cells[19::-1])[::-1]
    assert shuffled == first, "whatever it is asked beside"


def test_columns_are_one_loss_on_several_scales(trainings: Trainings, cells: list[str]) -> None:
    surrogate = NASBenchNLPSurrogate(trainings)
    kinds = ("loss", "perplexity", "score", "expected_score")
    assert surrogate.columns == (*(f"ptb_test_{kind}" for kind in kinds), "ptb_divergence")
    nothing = np.nanquantile(trainings.losses["ptb_test_loss"], 0.99)
    for row in surrogate(cells[:20]):
        assert tuple(row) == surrogate.columns
        assert row["ptb_test_score"] == pytest.approx(100 - row["ptb_test_loss"])
        assert row["ptb_test_perplexity"] == pytest.approx(np.exp(row["ptb_test_loss"]))
        assert 0 <= row["ptb_divergence"] <= 100
        lost = row["ptb_divergence"] / 100 * (max(nothing, row["ptb_test_loss"]) - row["ptb_test_loss"])
        assert row["ptb_test_expected_score"] == pytest.approx(row["ptb_test_score"] - lost)


def test_it_predicts_what_it_has_not_seen(trainings: Trainings) -> None:
    predicted = held_out(trainings, "ptb_test_loss", folds=4)
    true = np.asarray(trainings.losses["ptb_test_loss"])
    finite = np.isfinite(true)
    assert spearmanr(predicted["ptb_test_loss"][finite], true[finite])[0] > 0.8  # pyright: ignore
    divergence = predicted["ptb_divergence"]
    assert divergence[~finite].mean() > 60
    assert divergence[finite].mean() < 20


def test_equal_features_stay_in_one_part(trainings: Trainings) -> None:
    """A cell whose losses contradict those of all its copies is predicted as they are, not as it is."""
    cells = [*trainings.architectures[:60], *["linear(0,1)|tanh(4)|output(*5)"] * 1]
    values = np.concatenate([trainings.losses["ptb_test_loss"][:60], [1.0]])
    seen = held_out(Trainings(cells, {"ptb_test_loss": values}), "ptb_test_loss", folds=5)
    assert seen["ptb_test_loss"][-1] > 4


def test_it_is_an_objective_whose_truth_is_free(table: str, cells: list[str]) -> None:
    objective, report = nasbench_nlp_objective(
        table, maximize=["ptb_test_score"], report=["ptb_test_loss"], constraints={"ptb_divergence": {"max": 50}}
    )
    values = objective(cells[:4])
    assert values.shape == (4, 2)
    assert report(cells[0])["ptb_test_loss"] == pytest.approx(100 - float(values[0, 0]))
    found = objective.look_up(cells[:4])
    assert found is not None
    assert torch.equal(found[1], values)
    with pytest.raises(InvalidArchitecture):
        objective(["linear(0)|output(*4)"])


def test_bad_sources_and_settings_are_named(table: str, tmp_path: Path) -> None:
    for source, seed, words in (
        (str(tmp_path / "nowhere"), 0, "no file or folder objective.source="),
        (table, -1, "objective.seed=-1"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            nasbench_nlp_objective(source, seed, maximize=["ptb_test_score"])
    with pytest.raises(ConfigurationError, match="no column 'ptb_valid_score'"):
        nasbench_nlp_objective(table, maximize=["ptb_valid_score"])
    one = tmp_path / "one.parquet"
    write_table(one, pa.table({"architecture": ["linear(0,1)|output(*4)"], "ptb_test_loss": [5.0]}), {})
    with pytest.raises(ConfigurationError, match="no two losses"):
        Trainings.read(one)


@pytest.mark.data
@pytest.mark.slow
def test_it_orders_the_recipes_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spearman's rho .89 over five folds, as the documentation states."""
    if not (DATA / "nasbenchnlp_recipes.json.gz").is_file():
        pytest.skip(f"no NAS-Bench-NLP in {DATA}")
    monkeypatch.setattr(nasbench_nlp, "ROUNDS", 800)
    trainings = Trainings.read(DATA)
    predicted = held_out(trainings, "ptb_test_loss")["ptb_test_loss"]
    true = np.asarray(trainings.losses["ptb_test_loss"])
    finite = np.isfinite(true)
    assert spearmanr(predicted[finite], true[finite])[0] == pytest.approx(0.89, abs=0.015)  # pyright: ignore
