"""Wrong command lines of kinds that were found by hand, with the wrong files they give."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.reliability.tiny import COMMANDS, HERE, SHARED, network

_SEARCH = ("budget=20", "initial=8", "batch=4", "plot=false", "progress=false")
_OUT = f"out={HERE}/out"
_FILES = f"images={SHARED}/images.npz"
_MODEL = "model=benchmarks.reliability.tiny:network"


def _also(module: str, *arguments: str) -> tuple[str, tuple[str, ...]]:
    """A command at its smallest, with arguments that replace those of the same keys."""
    keys = {argument.partition("=")[0] for argument in arguments}
    return module, (*(a for a in COMMANDS[module] if a.partition("=")[0] not in keys), *arguments)


def _attack(*arguments: str) -> tuple[str, tuple[str, ...]]:
    return "evaluation.attack", ("attack=[fgsm]", _OUT, *arguments)


_WRONG: dict[str, tuple[str, ...]] = {
    "search.compare": (
        *("at=[0]", "into=nope.md", "executor=slurm", "show=[nope]", "brief=5", "baseline=nope"),
        *("seeds=0", "seeds=-1", "seeds=x", "first_seed=-1", "optimizers=[]", "optimizers=[nope]", "only=[nope]"),
        *("optimizers={a: [nope=1]}", "optimizers={a/b: [optimizer=random_search]}", "run_dir=x", "out="),
        *("problems={a: [budget=x]}", "problems={../a: [budget=20]}", f"out={SHARED}/text.txt", "out=/proc/x"),
    ),
    "evaluation.run": (
        *("attack_images=5", "attack_images={nope: 5}", "space=nasbench101", "table=/proc/x.parquet", "table="),
        *("table=foo.txt", "data_root=5", "draw_seed=-1", "recipe.epochs=0", "attack=[]", "out=", "seeds=[]"),
        *("sensitivity.num_images=99999", "corruption.names=[nope]", "device=cuda"),
        *("num_architectures=0", "num_architectures=99999", "extend=/nope.parquet", "share=[0,3]", "name=a/b"),
        *("executor=slurm", "corruption.frost=/nope", "corruption.path=/nope", "group_size=0", "recipe.flip=5"),
        *("recipe.learning_rate=nan", "recipe.learning_rate=-1", "recipe.momentum=2", f"extend={SHARED}/text.txt"),
    ),
    "evaluation.corrupt": (
        *("corruptions=[]", "corruptions=[nope]", "seed=x", "seed=-1", "out=", "num_images=99999", "frost=/nope"),
        *("device=cuda", "dataset=cifar10", "out=/proc/x", f"out={SHARED}/text.txt", "corruptions=[fog,fog]"),
    ),
    "search.pretrain": (
        *("schedule.betas=[5,5]", "schedule.steps=-1", "draws=0", "draws=x", "seed=-1", "out=", "pairing=nope"),
        *("schedule.learning_rate=nan", "schedule.learning_rate=-1", "schedule.own=2", "generator.state=0"),
        *("generator.layers=x", "out=/proc/x", f"out={SHARED}/text.txt", "threads=100000", "space=nope"),
    ),
    "search.propose": (
        *("run_dir=/nope", "run_dir=", f"run_dir={SHARED}/folder", f"run_dir={SHARED}/text.txt", "n=0", "n=-1"),
        *("want={nope: {max: 1}}", "want={cifar10micro_valid: {min: nan}}", "want={cifar10micro_valid: 5}"),
        *("want={cifar10micro_valid: {most: 5}}", "out=x.txt", "out=/proc/x.csv", "trust=5", "seed=x", "n=2.5"),
    ),
    "search.import_table": (
        *("path=/nope", "path=", f"path={SHARED}/folder", f"path={SHARED}/text.txt", "out=", "out=x.txt"),
        *("out=/proc/x.parquet", "importer=nope", "importer=nats_bench", "importer=nasbench101"),
        *("importer=hw_nas_bench", "importer=nasbench201", "importer=nasbench_nlp", "importer.confidence=5"),
    ),
    "evaluation.draw": (
        *("architecture=nope", "architecture=", "architecture=/nope.json", "architecture=Genotype(", "out="),
        *(
            f"architecture={SHARED}/text.txt",
            f"architecture={SHARED}/folder",
            "out=x.txt",
            "out=x",
            "out=/proc/x.png",
        ),
        *("architecture='|nor_conv_3x3~0|'", "architecture='Genotype(normal=[],reduce=[])'", "out=x.exe"),
        "out=/proc/x.png",
    ),
    "evaluation.export": (
        *("details=/nope", "details=", f"details={SHARED}/text.txt", f"details={SHARED}/table.parquet", "out="),
        *("split=x", "seed=x", "seed=5", "out=/proc/x", f"out={SHARED}/text.txt", "force=5", "seed=-1"),
    ),
    "evaluation.measure": (
        *("measure@measures=[]", "measure@measures=[nope]", "num_architectures=0", "num_architectures=99999"),
        *("repeats=0", "repeats=x", "seed=-1", "seed=x", "table=", "table=x.txt", "table=/proc/x.parquet"),
        *("dataset=imagenet16", "space=nope", "network._target_=nope.Nope", "measures.ntk.num_images=0"),
    ),
    "evaluation.report": (
        *("table=/nope", "table=", f"table={SHARED}/text.txt", "tables=[/nope]", "datasets=[nope]", "split=nope"),
        *("datasets=[]", "out=", "out=/proc/x", f"out={SHARED}/text.txt", f"tables=[{SHARED}/text.txt]", "split=5"),
        *("against=/nope", f"against={SHARED}/text.txt", f"against={SHARED}/table.parquet", "columns=[nope]", "top=0"),
    ),
    "evaluation.train_network": (
        *("architecture=nope", "seed=x", "seed=-1", "save_every=0", "save_every=-1", "evaluate_every=0", "out="),
        *(
            "recipe.epochs=0",
            "recipe.batch_size=0",
            "recipe.learning_rate=nan",
            "network.channels=0",
            "device=cuda",
        ),
        *("network.cells=0", "stream.cutout=-1", "stream=nope", "dataset=cifar100", "out=/proc/x", "recipe=nope"),
        "device=cuda",
    ),
}
"""A wrong override, one at a time, of each command at its smallest."""

WRITTEN: tuple[tuple[str, tuple[str, ...]], ...] = (
    *(
        _attack(_MODEL, f"images={SHARED}/{name}")
        for name in (
            *("channels.npz", "nhwc.npz", "empty.npz", "cut.npz", "flip.npz", "object.npz", "no_labels.npz"),
            *("nan.npz", "range.npz", "labels.npz", "none.npz", "flat.npz", "text.txt", "missing.npz", "folder"),
        )
    ),
    *(
        _attack(f"model={SHARED}/{name}", _FILES, "trust=true")
        for name in ("bad.pt2", "bad.pt", "empty.pt", "pickle.pt", "tensor.pt", "text.txt", "missing.pt2", "folder")
    ),
    _attack(f"model={SHARED}/script.pt", _FILES),
    *(
        _attack(f"model={name}", _FILES)
        for name in (
            *("builtins:list", "sys:exit", "os:getcwd", "os.path:join", "torch.utils.data:DataLoader", "numpy:array"),
            *("benchmarks.reliability.tiny:nope", "benchmarks.reliability.tiny", ":", "a:", ":b", "a:b:c", "..:x"),
            "benchmarks.reliability.tiny:COMMANDS",
        )
    ),
    *(
        _attack(_MODEL, _FILES, argument)
        for argument in (
            *("num_images=2.5", "num_images=x", "num_images=99", "batch_size=x", "batch_size=2.5", "batch_size=0"),
            *("seed=x", "seed=-1", "dataset=digits", "attack=[]", "attack=[fgsm,nope]", "mode=x", "precision=x"),
        )
    ),
    _attack(_MODEL),
    _attack(_FILES),
    _also("search.run", "run_dir="),
    _also("search.run", "run_dir=5"),
    _also("search.run", f"run_dir={'a' * 300}"),
    _also("search.run", f"run_dir={SHARED}/text.txt"),
    _also("search.run", f"run_dir={SHARED}/text.txt/x"),
    _also("search.run", f"run_dir={SHARED}/search"),
    _also("search.run", "under={cifar10micro_valid: [nan]}"),
    _also("search.run", "under={cifar10micro_valid: [inf]}"),
    _also("search.run", "threads=100000"),
    _also("search.run", "objective=live", "objective.device=cuda"),
    _also("search.run", "space=nasbench101"),
    _also("search.run", "budget=1", "initial=8"),
    _also("search.run", "experiment=nope"),
    _also("search.run", "optimizer=agnet", "optimizer.generator.variant=nope"),
    _also("search.run", "optimizer=agnet", f"optimizer.generator.path={SHARED}/text.txt"),
    _also("search.run", "objective=table", "objective.maximize=[digits_valid]"),
    _also("search.run", "objective=table", f"objective.tables=[{SHARED}/text.txt]", "objective.maximize=[a]"),
    _also("search.run", "objective=table", f"objective.tables=[{SHARED}/table.parquet]"),
    _also("search.run", "objective=table", f"objective.tables=[{SHARED}/table.parquet]", "objective.maximize=[a]"),
    *(
        ("search.run", (*_SEARCH, "optimizer=random_search", f"run_dir={HERE}/out", *arguments))
        for arguments in (
            *(("budget",), ("=5",), ("budget=",), ("budget=[",), ("under={",), ("~budget",), ("+budget=5",)),
            *(("+nope=5",), ("++nope=5",), ("--nope",), ("-x",), ("budget==5",), ("seed=range(3,1)", "-m")),
            *(("optimizer=glob(zzz*)", "-m"), ("seed=range(0)", "-m"), ("--config-name=nope",)),
            *(("--config-dir=/nope",), ("budget=${oc.env:NOPE_NOT_SET}",), ("seed=${budgets}",), ("budget=???",)),
            *(("'budget=5",), ("budget=int(x)",), ("experiment=digits,bundled_limit",), ("optimizer=a,b",)),
        )
    ),
    *(_also(module, argument) for module, arguments in _WRONG.items() for argument in arguments),
    _also("evaluation.run", "corruption.names=[fog]", "corruption.num_images=99999"),
)
"""Commands with their arguments."""


def make_wrong_inputs(shared: Path) -> None:
    """Make the files that these lines give."""
    generator = np.random.default_rng(0)
    images = generator.random((20, 1, 8, 8), np.float32)
    labels = np.arange(20) % 10
    arrays = {
        "images": (images, labels),
        "channels": (generator.random((20, 5, 8, 8), np.float32), labels),
        "nhwc": (generator.random((20, 8, 8, 1), np.float32), labels),
        "nan": (np.where(images > 0.5, np.nan, images), labels),
        "range": (images * 300, labels),
        "labels": (images, labels + 100),
        "none": (images[:0], labels[:0]),
        "flat": (images.reshape(20, -1), labels),
        "object": (np.array([{}] * 20, dtype=object), labels),
    }
    for name, (given, classes) in arrays.items():
        np.savez_compressed(shared / f"{name}.npz", images=given, labels=classes)
    np.savez_compressed(shared / "no_labels.npz", images=images)
    whole = (shared / "images.npz").read_bytes()
    (shared / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (shared / "flip.npz").write_bytes(whole[:2000] + bytes([whole[2000] ^ 0x5A]) + whole[2001:])
    for name in ("empty.npz", "empty.pt"):
        (shared / name).touch()
    for name in ("bad.pt", "bad.pt2", "text.txt"):
        (shared / name).write_text("x")
    (shared / "folder").mkdir()
    torch.save({"a": network()}, shared / "pickle.pt")
    torch.save(torch.zeros(3), shared / "tensor.pt")
    torch.jit.trace(network(), torch.rand(2, 1, 8, 8)).save(str(shared / "script.pt"))
