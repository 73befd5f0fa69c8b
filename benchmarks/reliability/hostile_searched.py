"""Hostile files that the search reads: run folders, tables, manifests, published benchmarks."""

import bz2
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from agnet.generator.checkpoints import MANIFEST, load_generator, record
from agnet.runtime.paths import CHECKPOINT_DIR
from agnet.runtime.sealed import read_sealed, write_sealed
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import read_table
from benchmarks.reliability import hostile
from benchmarks.reliability.calling import call
from benchmarks.reliability.hostile import CANARY
from benchmarks.reliability.hostile_case import Hostile
from benchmarks.reliability.searched import SMALL, TABLE, small_table
from search.import_table import main as import_table
from search.propose import main as propose
from search.run import main as run

_FEWER = ("optimizer.proposal.prior=256", "optimizer.proposal.ascents=32", "optimizer.proposal.refinements=2")
_SEARCH = (*SMALL, *_FEWER, "optimizer=agnet", "budget=32", "plot=false", "run_dir=run")
_TOUCH = f"touch {CANARY}"

TARGETS: dict[str, dict[str, Any]] = {
    "os.system": {"_args_": [_TOUCH]},
    "posix.system": {"_args_": [_TOUCH]},
    "subprocess.call": {"_args_": [["touch", CANARY]]},
    "builtins.exec": {"_args_": [f"open('{CANARY}', 'w')"]},
    "builtins.eval": {"_args_": [f"open('{CANARY}', 'w')"]},
    "builtins.open": {"_args_": [CANARY, "w"]},
    "numpy.load": {"file": "run/object.npy", "allow_pickle": True},
    "torch.load": {"f": "run/object.pt", "weights_only": False},
    "joblib.load": {"filename": "run/object.pkl"},
    "pandas.read_pickle": {"filepath_or_buffer": "run/object.pkl"},
    "shutil.rmtree": {"_args_": ["."]},
    "importlib.import_module": {"_args_": ["antigravity"]},
    "hydra.utils.call": {"_args_": [{"_target_": "os.system", "_args_": [_TOUCH]}]},
    "agnet.runtime.files.os.system": {"_args_": [_TOUCH]},
    "agnet.runtime.command.sys.exit": {"_args_": [0]},
    "agnet.runtime.files.write_text": {"path": CANARY, "text": "x"},
    "agnet.runtime.files.append_text": {"path": CANARY, "text": "x"},
    "agnet.runtime.sealed.write_sealed_json": {"path": CANARY, "content": {}},
    "agnet.runtime.temporary.shutil.rmtree": {"_args_": ["."]},
    "search.run.main": {},
    "search.document.insert": {"_args_": ["x.md", "a", "b"]},
    "evaluation.attacks.loading.load_model": {"where": "object:make"},
    "evaluation.attacks.loading.importlib.import_module": {"_args_": ["antigravity"]},
    "search.objectives.nasbench301_official.OfficialNASBench301": {"python": _TOUCH},
    "benchmarks.reliability.hostile.Payload": {"_args_": [_TOUCH]},
    "unknown_package.thing": {},
    "os": {},
    "": {},
    "..os.system": {"_args_": [_TOUCH]},
}
"""Targets that a file may not name, with arguments that would leave a trace."""

_KEYS = ("space", "objective", "optimizer", "logger")


def _put(config: dict[str, Any], place: str, target: dict[str, Any]) -> None:
    """Let a configuration build something in a place."""
    if place in _KEYS:
        config[place] = target
    elif place == "_args_":
        config["space"]["_args_"] = [target]
    elif place == "_partial_":
        config["optimizer"] = {**target, "_partial_": True}
    elif place == "list":
        config["objective"]["tables"] = [TABLE, target]
    elif place == "deep":
        config["optimizer"]["proposal"] = {"a": [{"b": {"c": [target]}}]}
    else:
        config["data_root"] = {"x": target}


PLACES = (*_KEYS, "_args_", "_partial_", "list", "deep", "data_root")


def _finished(shared: Path) -> Path:
    """A run folder that can be asked for cells, with its table beside it."""
    folder = shared / "searched"
    folder.mkdir()
    with chdir(folder):
        small_table(0)
        call(run, *_SEARCH)
    return folder


def run_folders(shared: Path) -> Iterator[Hostile]:
    """Run folders from somebody else."""
    folder = _finished(shared)

    def copied(change: Callable[[], object]) -> Callable[[], None]:
        def write() -> None:
            shutil.copytree(folder, ".", dirs_exist_ok=True)
            objects = hostile.payloads()["os.system"]
            Path("run/object.npy").write_bytes(hostile.npy(objects))
            Path("run/object.pt").write_bytes(hostile.torch_saved(objects))
            Path("run/object.pkl").write_bytes(pickle.dumps(objects))
            change()

        return write

    def targeted(place: str, name: str) -> Callable[[], None]:
        def change() -> None:
            path = Path("run/config.yaml")
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            _put(config, place, {"_target_": name, **TARGETS[name]})
            path.write_text(yaml.safe_dump(config), encoding="utf-8")

        return copied(change)

    def written(name: str, content: bytes | str) -> Callable[[], None]:
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        return copied(lambda: Path("run", name).write_bytes(data))

    asks: dict[str, Callable[[], object]] = {
        "propose": lambda: call(propose, "run_dir=run", "n=3"),
        "run": lambda: call(run, *_SEARCH),
    }
    for i, name in enumerate(TARGETS):
        for place in {PLACES[i % len(PLACES)], "space"}:
            yield Hostile(f"propose: config.yaml: {place}: {name or 'no name'}", targeted(place, name), asks["propose"])
    for place, name in zip(PLACES, TARGETS, strict=False):
        # the sealed state knows the settings: config.yaml is written anew
        yield Hostile(f"run: config.yaml: {place}: {name}", targeted(place, name), asks["run"], refused=False)
    for who, ask in asks.items():
        for name, text in hostile.yaml_bombs().items():
            yield Hostile(f"{who}: config.yaml: {name}", written("config.yaml", text), ask, refused=who == "propose")
        for name, payload in hostile.payloads().items():
            raw = hostile.torch_saved(payload)
            yield Hostile(f"{who}: state.pt that calls {name}", written("state.pt", raw), ask, refused=who == "propose")

            def sealed(raw: bytes = raw) -> None:
                path = Path("run/state.pt")
                whose = read_sealed(path, kind="search state").identity or {}
                write_sealed(path, raw, kind="search state", identity=whose)

            yield Hostile(f"{who}: sealed state.pt that calls {name}", copied(sealed), ask, refused=who == "propose")
        for file in ("history.jsonl", "seal.json", "result.json", "state.pt"):
            yield Hostile(f"{who}: deep {file}", written(file, hostile.deep_json()), ask, refused=False)


def manifests() -> Iterator[Hostile]:
    """A generator's manifest from somebody else."""
    name, space = "generator_nasbench201.safetensors", NASBench201()
    whole = json.loads((CHECKPOINT_DIR / MANIFEST).read_text(encoding="utf-8"))[name]["model"]
    changes: dict[str, Any] = {
        **{f"{key} of 10^9": {**whole, key: 10**9} for key in whole},
        **{f"{key} of 99,999": {**whole, key: 99_999} for key in whole},
        **{
            f"{key} of {value!r}": {**whole, key: value}
            for key, value in zip(whole, (-1, True, 1.5, "os"), strict=False)
        },
        "a target": {**whole, "_target_": "os.system"},
        "no object": [1],
        "a key that is no setting": {**whole, "device": 1},
    }

    def write(model: Any) -> None:
        shutil.copy(CHECKPOINT_DIR / name, name)
        record(Path(name), {"model": model, "command": _TOUCH})

    for said, model in changes.items():
        yield Hostile(
            f"load_generator: manifest: {said}", lambda m=model: write(m), lambda: load_generator(space, name)
        )
    for said, content in (("deep lists", hostile.deep_json()), ("deep objects", hostile.deep_object())):

        def deep(content: bytes = content) -> None:
            write(whole)
            Path(MANIFEST).write_bytes(content)

        yield Hostile(f"load_generator: manifest: {said}", deep, lambda: load_generator(space, name))
    for said, content in hostile.payloads().items():

        def pickled(content: Any = content) -> None:
            Path(name).write_bytes(hostile.torch_saved(content))
            record(Path(name), {"model": whole})

        yield Hostile(f"load_generator: weights that call {said}", pickled, lambda: load_generator(space, name))


def benchmarks_of_others() -> Iterator[Hostile]:
    """Files of published benchmarks from somebody else."""

    def asking(importer: str, path: str) -> Callable[[], object]:
        return lambda: call(import_table, f"importer={importer}", f"path={path}", "out=out/table.parquet")

    def folder(name: str, **files: bytes) -> None:
        Path(name).mkdir()
        for file, content in files.items():
            Path(name, file).write_bytes(content)

    formats: dict[str, tuple[str, str, Callable[[Any], bytes]]] = {
        "hw_nas_bench": ("hw_nas_bench", "HW.pickle", pickle.dumps),
        "nasbench201, zipped": ("nasbench201", "NB.pth", hostile.torch_saved),
        "nasbench201, old": ("nasbench201", "NB.pth", hostile.legacy_torch_saved),
        "nats_bench": ("nats_bench", "NATS/000011.pickle.pbz2", lambda value: bz2.compress(pickle.dumps(value))),
    }
    for said, (importer, path, pack) in formats.items():
        root = path.partition("/")[0]
        for name, payload in hostile.payloads().items():

            def write(path: str = path, content: bytes = pack(payload)) -> None:
                Path(path).parent.mkdir(exist_ok=True)
                Path(path).write_bytes(content)

            yield Hostile(f"import_table: {said}: {name}", write, asking(importer, root))
    for said, content in (("endless text", hostile.endless_pickle()), ("doubling", hostile.doubling_pickle())):
        yield Hostile(
            f"import_table: hw_nas_bench: {said}",
            lambda c=content: Path("HW.pickle").write_bytes(c),
            asking("hw_nas_bench", "HW.pickle"),
        )
    yield Hostile(
        "import_table: nats_bench: bz2 bomb",
        lambda: folder("NATS", **{"000011.pickle.pbz2": hostile.bz2_bomb(8 * 2**30)}),
        asking("nats_bench", "NATS"),
    )
    bomb = {"nasbenchnlp_recipes.json.gz": hostile.gzip_bomb(2**24), "nasbenchnlp_ptb.csv.gz": b""}
    yield Hostile(
        "import_table: nasbench_nlp: gzip bomb",
        lambda: folder("NLP", **{**bomb, "nasbenchnlp_recipes.json.gz": hostile.gzip_bomb(8 * 2**30)}),
        asking("nasbench_nlp", "NLP"),
    )
    yield Hostile(
        "import_table: nasbench_nlp: deep log",
        lambda: folder("NLP", **{"log.json": hostile.deep_object()}),
        asking("nasbench_nlp", "NLP"),
    )
    yield Hostile(
        "import_table: robustness: deep meta.json",
        lambda: folder("tree", **{"meta.json": hostile.deep_object()}),
        asking("robustness", "tree"),
    )


def tables() -> Iterator[Hostile]:
    """Tables with hostile names, which a search writes into its files."""
    cells = list(NASBench201().enumerate()[::200])

    def search(column: str) -> None:
        quoted = column.replace("\\", "\\\\").replace("'", "\\'")
        given = (f"objective.tables=[{TABLE}]", f"objective.maximize=['{quoted}']", "objective.report=[]")
        call(run, *given, "objective=table", "optimizer=random_search", "budget=20", "plot=false", "run_dir=run")

    for said, name in hostile.NAMES.items():

        def write(name: str = name) -> None:
            pq.write_table(pa.table({"architecture": cells, name: [float(i) for i in range(len(cells))]}), TABLE)

        yield Hostile(f"run: a column named {said}", write, lambda n=name: search(n), refused=False)

        def renamed(name: str = name) -> None:
            pq.write_table(pa.table({"architecture": [name, *cells[1:]], "score": [1.0] * len(cells)}), TABLE)

        yield Hostile(
            f"read_table: an architecture named {said}",
            renamed,
            lambda: read_table([TABLE], ["score"]),
            refused=False,
        )
    yield Hostile(
        "read_table: a pickle as Parquet",
        lambda: Path(TABLE).write_bytes(pickle.dumps(hostile.payloads()["exec"])),
        lambda: read_table([TABLE], ["score"]),
    )


def cases(shared: Path) -> list[Hostile]:
    """All of them."""
    return [*run_folders(shared), *manifests(), *benchmarks_of_others(), *tables()]
