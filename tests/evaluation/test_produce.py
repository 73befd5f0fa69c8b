import dataclasses
import json
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.spaces import NASBench201
from agnet.tables import read_metadata, read_table
from evaluation import produce as module
from evaluation.attacks import FGSM, PGD
from evaluation.data import Images, ImageSplits
from evaluation.network import count_macs, count_parameters
from evaluation.produce import Details, Protocol, Row, cpu_seconds, evaluate_block, merge, produce, representatives
from evaluation.train import Recipe

LATENCY = "tiny_cpu_latency_ms"
COLUMNS = [f"tiny_{part}{attack}" for part in ("valid", "test") for attack in ("", "_fgsm_eps8", "_pgd_eps16")]


@pytest.fixture(scope="module")
def space() -> NASBench201:
    return NASBench201()


@pytest.fixture(scope="module")
def protocol(tiny: ImageSplits) -> Protocol:
    """Seconds for a handful of cells: two channels, one epoch of three steps, two attacks, blocks of two."""
    return Protocol(
        images=tiny,
        channels=2,
        cells_per_stage=1,
        recipe=Recipe(epochs=1, batch_size=32),
        attacks=[FGSM([8]), PGD([16], steps=2, relative_step=0.5)],
        seed=0,
        block_size=2,
    )


@pytest.fixture(scope="module")
def cells(space: NASBench201) -> list[str]:
    """Five cells: two whole blocks and a half one."""
    return representatives(space)[:5]


@pytest.fixture(scope="module")
def finished(protocol: Protocol, cells: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A folder with all shards, and its rows. Tests work on copies."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, produce(protocol, cells, folder, workers=1, progress=False)


@pytest.fixture
def folder(finished: tuple[Path, list[Row]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The blocks that are evaluated, in order."""
    blocks: list[tuple[str, ...]] = []

    def spy(architectures: Sequence[str], protocol: Protocol, device: str) -> tuple[list[Row], Details]:
        blocks.append(tuple(architectures))
        return evaluate_block(architectures, protocol)

    monkeypatch.setattr(module, "evaluate_block", spy)
    return blocks


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards").glob("[0-9]*.json"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_latency(rows: Sequence[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != LATENCY} for row in rows]


# ------------------------------------------------------------------------------------------------------ producing


def test_rows(finished: tuple[Path, list[Row]], cells: list[str]) -> None:
    folder, rows = finished
    assert [row["architecture"] for row in rows] == cells
    for row in rows:
        assert list(row) == ["architecture", *COLUMNS, LATENCY]
        assert all(0 <= float(row[column]) <= 100 for column in COLUMNS)
        assert float(row[LATENCY]) > 0
    assert len(shards(folder)) == 3
    assert any(0 < float(row["tiny_valid"]) < 100 for row in rows)


def test_a_finished_run_does_nothing(
    folder: Path,
    finished: tuple[Path, list[Row]],
    protocol: Protocol,
    cells: list[str],
    evaluated: list[tuple[str, ...]],
) -> None:
    before = content(folder)
    assert produce(protocol, cells, folder, workers=1, progress=False) == finished[1]
    assert evaluated == []
    assert content(folder) == before


@pytest.mark.parametrize("lost", [0, 2])
def test_a_lost_shard_is_made_again_with_the_same_numbers(
    folder: Path,
    finished: tuple[Path, list[Row]],
    protocol: Protocol,
    cells: list[str],
    evaluated: list[tuple[str, ...]],
    lost: int,
) -> None:
    victim = shards(folder)[lost]
    victim.unlink()
    before = content(folder)
    rows = produce(protocol, cells, folder, workers=1, progress=False)
    assert without_latency(rows) == without_latency(finished[1])
    assert evaluated == [tuple(cells[2 * lost : 2 * lost + 2])]
    assert victim.exists()
    assert {name: data for name, data in content(folder).items() if name in before} == before


def test_a_run_that_dies_continues(
    finished: tuple[Path, list[Row]],
    protocol: Protocol,
    cells: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C in the second block, then the same call again."""
    calls = 0

    def dying(architectures: Sequence[str], protocol: Protocol, device: str) -> tuple[list[Row], Details]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return evaluate_block(architectures, protocol)

    monkeypatch.setattr(module, "evaluate_block", dying)
    with pytest.raises(KeyboardInterrupt):
        produce(protocol, cells, tmp_path, workers=1, progress=False)
    assert len(shards(tmp_path)) == 1
    rows = produce(protocol, cells, tmp_path, workers=1, progress=False)
    assert calls == 4
    assert without_latency(rows) == without_latency(finished[1])


def test_a_shorter_run_is_the_beginning_of_a_longer_one(
    folder: Path,
    finished: tuple[Path, list[Row]],
    protocol: Protocol,
    cells: list[str],
    evaluated: list[tuple[str, ...]],
) -> None:
    assert produce(protocol, cells[:4], folder, workers=1, progress=False) == finished[1][:4]
    assert evaluated == []
    rows = produce(protocol, cells[:3], folder, workers=1, progress=False)
    assert evaluated == [(cells[2],)], "a block of other architectures is another shard"
    assert [row["architecture"] for row in rows] == cells[:3]
    assert produce(protocol, cells, folder, workers=1, progress=False) == finished[1]


def test_what_a_kill_left_behind_is_ignored(
    folder: Path,
    finished: tuple[Path, list[Row]],
    protocol: Protocol,
    cells: list[str],
    evaluated: list[tuple[str, ...]],
) -> None:
    victim = shards(folder)[1]
    left = victim.with_name(f".{victim.name}.k3x9_a2b.json")
    left.write_text(victim.read_text()[:40])
    assert produce(protocol, cells, folder, workers=1, progress=False) == finished[1]
    victim.unlink()
    rows = produce(protocol, cells, folder, workers=1, progress=False)
    assert without_latency(rows) == without_latency(finished[1])
    assert evaluated == [tuple(cells[2:4])]


def test_cost_is_of_the_shards_that_were_asked_for(folder: Path, protocol: Protocol, cells: list[str]) -> None:
    (folder / "shards" / "99999_of_another_run.json").write_text("{")
    size = protocol.block_size
    assert 0 < cpu_seconds(protocol, cells[:size], folder) < cpu_seconds(protocol, cells, folder)


def test_threads_are_given_back(protocol: Protocol, cells: list[str], tmp_path: Path) -> None:
    """Blocks run on one thread, so that rounding does not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        produce(protocol, cells[:1], tmp_path, workers=1, progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"channels": 3}, "shape"),
        ({"recipe": Recipe(epochs=2, batch_size=32)}, "recipe"),
        ({"attacks": [FGSM([8])]}, "attacks"),
        ({"block_size": 3, "mode": "worst_case"}, "block_size, mode"),
        ({"precision": "bfloat16"}, "precision"),
    ],
)
def test_another_protocol_is_refused(
    folder: Path, protocol: Protocol, cells: list[str], change: dict[str, object], named: str
) -> None:
    before = content(folder)
    with pytest.raises(RunDirectoryError, match=rf"run holds shards of another protocol \(differs in {named}\).*out="):
        produce(dataclasses.replace(protocol, **change), cells, folder, workers=1, progress=False)  # pyright: ignore
    assert content(folder) == before


def test_other_images_of_the_same_description_are_refused(folder: Path, protocol: Protocol, cells: list[str]) -> None:
    """Mirrored images: same name, numbers, mean and deviation."""
    mirrored = Images(protocol.images.test.pixels.flip(-1), protocol.images.test.labels)
    other = dataclasses.replace(protocol, images=dataclasses.replace(protocol.images, test=mirrored))
    assert other.describe() == protocol.describe()
    before = content(folder)
    with pytest.raises(RunDirectoryError, match="differs in the images"):
        produce(other, cells, folder, workers=1, progress=False)
    assert content(folder) == before


def test_a_shard_knows_its_protocol(folder: Path, protocol: Protocol, cells: list[str]) -> None:
    """Without its protocol file a folder is anybody's, but its shards are not."""
    (folder / "protocol.json").unlink()
    with pytest.raises(RunDirectoryError, match=rf"{shards(folder)[0].name} was made under another protocol"):
        produce(dataclasses.replace(protocol, seed=1), cells, folder, workers=1, progress=False)


def damage_rows(change: Callable[[list[Row]], object]) -> Callable[[str], str]:
    def damage(text: str) -> str:
        shard = json.loads(text)
        return json.dumps(shard | {"rows": change(shard["rows"])})

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-10],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: '{"rows": null}',
        damage_rows(lambda rows: rows[:1]),
        damage_rows(lambda rows: rows[::-1]),
        damage_rows(lambda rows: [{"tiny_valid": 1.0} for _ in rows]),
    ],
    ids=["empty", "truncated", "list", "no rows", "null", "row missing", "other order", "no names"],
)
def test_a_damaged_shard_is_named(
    folder: Path, protocol: Protocol, cells: list[str], damage: Callable[[str], str], evaluated: list[tuple[str, ...]]
) -> None:
    victim = shards(folder)[1]
    victim.write_text(damage(victim.read_text()))
    before = content(folder)
    with pytest.raises(RunDirectoryError, match=rf"damaged shard .*{victim.name}: .*delete it and run again"):
        produce(protocol, cells, folder, workers=1, progress=False)
    assert content(folder) == before
    assert evaluated == []


def test_a_damaged_protocol_file_is_named(folder: Path, protocol: Protocol, cells: list[str]) -> None:
    (folder / "protocol.json").write_text('{"digest": ')
    with pytest.raises(RunDirectoryError, match=r"protocol\.json is no JSON .*out="):
        produce(protocol, cells, folder, workers=1, progress=False)


@pytest.mark.parametrize(("count", "workers", "change"), [(0, 1, {}), (1, 0, {}), (1, 1, {"block_size": 0})])
def test_nothing_to_do_is_an_error(
    protocol: Protocol, cells: list[str], tmp_path: Path, count: int, workers: int, change: dict[str, int]
) -> None:
    impossible = dataclasses.replace(protocol, **change)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="all must be at least 1"):
        produce(impossible, cells[:count], tmp_path / "run", workers=workers, progress=False)
    assert not (tmp_path / "run").exists()


def test_the_protocol_is_plain_values(protocol: Protocol) -> None:
    described = json.loads(json.dumps(protocol.describe()))
    assert described["attacks"]["fgsm"] == {"attack": "FGSM", "name": "fgsm", "eps": [8], "norm": "linf"}
    assert described["attacks"]["pgd"].items() >= {"eps": [16], "steps": 2, "relative_step": 0.5}.items()
    assert described["images"] == {"train": 96, "valid": 30, "test": 25}
    assert described["shape"]["channels"] == 2
    assert described["recipe"]["epochs"] == 1
    assert protocol.digest == dataclasses.replace(protocol).digest
    assert protocol.digest == pickle.loads(pickle.dumps(protocol)).digest, "workers get a copy"


# -------------------------------------------------------------------------------------------------------- merging


def test_representatives_are_the_lowest_ids(space: NASBench201) -> None:
    chosen = representatives(space)
    assert len(chosen) == len(set(chosen)) == 6_466
    ids = [space.enumerate().index(a) for a in chosen[:300]]
    assert ids == sorted(ids)
    assert all(space.canonical(a) == a for a in chosen)


@pytest.fixture(scope="module")
def measured(space: NASBench201) -> list[Row]:
    """Made-up measurements of the largest class, a class of one, and classes whose members cost differently."""
    sizes = Counter(space.isomorphs)
    ((largest, _),) = sizes.most_common(1)
    single = next(i for i, n in sizes.items() if n == 1)
    others = [i for i, n in sizes.most_common(9)[1:]]
    cells = space.enumerate()
    return [
        {"architecture": cells[i], "tiny_valid": float(rank), "tiny_test": 50.0 - rank / 3}
        for rank, i in enumerate([largest, single, *others])
    ]


@pytest.fixture(scope="module")
def table_path(
    measured: list[Row], protocol: Protocol, space: NASBench201, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("merged") / "table.parquet"
    metadata = {"command": "python -m evaluation.run", "revision": "abc"}
    count = merge(measured, protocol, space, path, metadata)
    sizes = Counter(space.isomorphs[space.enumerate().index(str(row["architecture"]))] for row in measured)
    assert count == sum(n for i, n in Counter(space.isomorphs).items() if i in sizes)
    return path


def test_every_member_has_its_representatives_measurements(
    table_path: Path, measured: list[Row], space: NASBench201
) -> None:
    table = read_table([table_path], ["isomorph", "tiny_valid", "tiny_test"])
    known = {row["architecture"]: row for row in measured}
    expected = [a for a in space.enumerate() if space.canonical(a) in known]
    assert sorted(table.rows) == sorted(expected)
    assert len(expected) > 275 + 1
    for architecture, values in zip(expected, table.lookup(expected).tolist(), strict=True):
        representative = space.canonical(architecture)
        row = known[representative]
        assert values == [space.enumerate().index(representative), row["tiny_valid"], row["tiny_test"]]


def test_costs_are_counted_for_the_string(table_path: Path, protocol: Protocol, space: NASBench201) -> None:
    """A class has one accuracy, but its members need not have one number of parameters."""
    table = read_table([table_path], ["parameters", "macs", "isomorph"])
    chosen = [a for a in space.enumerate() if a in table.rows][::40]
    for architecture, (parameters, macs, _) in zip(chosen, table.lookup(chosen).tolist(), strict=True):
        assert parameters == count_parameters(architecture, protocol.shape), architecture
        assert macs == count_macs(architecture, protocol.shape, protocol.image_size), architecture
    costs: dict[float, set[float]] = {}
    for parameters, _, isomorph in table.values.tolist():
        costs.setdefault(isomorph, set()).add(parameters)
    assert max(map(len, costs.values())) > 1


def test_a_table_says_where_it_comes_from(table_path: Path, protocol: Protocol) -> None:
    metadata = read_metadata(table_path)
    assert metadata["space"] == "nasbench201"
    assert metadata["dataset"] == "tiny"
    assert metadata["seeds"] == "[0]"
    assert metadata["command"] == "python -m evaluation.run"
    assert metadata["revision"] == "abc"
    assert metadata["torch"] == torch.__version__
    assert metadata["protocol_digest"] == protocol.digest
    assert json.loads(metadata["protocol"]) == json.loads(json.dumps(protocol.describe()))
    assert "published" in json.loads(metadata["protocol"])["mode"]


def test_merging_twice_gives_the_same_content(
    table_path: Path, measured: list[Row], protocol: Protocol, space: NASBench201, tmp_path: Path
) -> None:
    again = tmp_path / "again.parquet"
    merge(measured[::-1], protocol, space, again, {})
    assert read_metadata(again)["content_sha256"] == read_metadata(table_path)["content_sha256"]


def test_real_rows_become_a_table(
    finished: tuple[Path, list[Row]], protocol: Protocol, space: NASBench201, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    merge(finished[1], protocol, space, path, {})
    table = read_table([path], [*COLUMNS, LATENCY])
    for row in finished[1]:
        assert table.lookup([str(row["architecture"])])[0].tolist() == [row[c] for c in (*COLUMNS, LATENCY)]
