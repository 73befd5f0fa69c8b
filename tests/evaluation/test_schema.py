"""What each command refuses before it does anything; ``tests/configs`` has what they accept."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from agnet.errors import ConfigurationError
from agnet.runtime.paths import CONF_DIR
from agnet.runtime.schema import Schema
from evaluation.schema import (
    AttackConfig,
    CorruptConfig,
    DrawConfig,
    ExportConfig,
    MeasureConfig,
    ProtocolConfig,
    ReportConfig,
    RunConfig,
    TrainNetworkConfig,
)

ROOTS: dict[type[Schema], str] = {
    AttackConfig: "attack",
    CorruptConfig: "corrupt",
    DrawConfig: "draw",
    ExportConfig: "export",
    MeasureConfig: "measure",
    ReportConfig: "report",
    RunConfig: "run",
    TrainNetworkConfig: "train_network",
}
GIVEN = {
    "attack": ["model=m.pt2", "images=i.npz", "out=there"],
    "corrupt": ["out=there"],
    "draw": ["architecture=darts_v2", "out=there.png"],
    "export": ["details=d.parquet", "out=there"],
    "measure": ["table=t.parquet"],
    "report": ["table=t.parquet", "out=there"],
    "run": ["out=there"],
    "train_network": ["architecture=darts_v2", "out=there"],
}


@pytest.mark.sample(40)
@pytest.mark.parametrize(
    ("schema", "override", "said"),
    [
        (RunConfig, "recipe.epochs=1000000000", "recipe.epochs=1000000000 is too large; give at most 1000000"),
        (ReportConfig, "datasets=[]", "datasets=[] should be null or a list that is not empty, each item text"),
        (DrawConfig, "out=.png", "out=.png should be a file that ends in .png, .pdf or .svg"),
        (AttackConfig, "seed=x", "seed=x should be a whole number from 0 to 2147483647"),
        (AttackConfig, "seed=-1", "seed=-1 should be a whole number from 0 to 2147483647"),
        (AttackConfig, "attack=[]", "attack is missing; give at least one attack, e.g. attack=[fgsm,pgd]"),
        (AttackConfig, "model=5", "model=5 should be text"),
        (AttackConfig, "batch_size=x", "batch_size=x should be a whole number from 1 or null"),
        (AttackConfig, "images=", "images= should be a path"),
        (CorruptConfig, "corruptions=[]", "corruptions=[] should be null or a list of names, e.g. [fog,snow]"),
        (
            CorruptConfig,
            "corruptions=fog",
            "corruptions=fog should be null or a list of names, e.g. [fog,snow]",
        ),
        (CorruptConfig, "seed=-1", "seed=-1 should be a whole number from 0 to 2147483647"),
        (CorruptConfig, "num_images=2.5", "num_images=2.5 should be a whole number from 1 or null"),
        (CorruptConfig, "device=tpu", "device=tpu should be one of cpu, cuda"),
        (DrawConfig, "out=pair.jpg", "out=pair.jpg should be a file that ends in .png, .pdf or .svg"),
        (ExportConfig, "out=5", "out=5 should be a path, e.g. ./5"),
        (ExportConfig, "seed=first", "seed=first should be a whole number from 0 to 2147483647 or null"),
        (MeasureConfig, "repeats=0", "repeats=0 should be a whole number from 1"),
        (MeasureConfig, "table=foo.txt", "table=foo.txt should be a Parquet file, e.g. table.parquet"),
        (MeasureConfig, "measure@measures=[]", "measures is missing; give at least one measure"),
        (ReportConfig, "tables=5", "tables=5 should be a list, each item a path"),
        (RunConfig, "draw_seed=-1", "draw_seed=-1 should be a whole number from 0 to 2147483647 or null"),
        (RunConfig, "seeds=[0,0]", "seeds=[0, 0]: give every seed once"),
        (RunConfig, "space=nasbench101", "space._target_=agnet.NASBench101 makes no space that it trains"),
        (RunConfig, "table=/proc/x.parquet", "table=/proc/x.parquet: cannot write into /proc"),
        (RunConfig, "recipe.batch_size=0", "recipe.batch_size=0 should be a whole number from 1"),
        (RunConfig, "recipe=final_darts_cifar10", "recipe._target_=evaluation.FinalRecipe makes no recipe for tables"),
        (RunConfig, "+attack.fgsm.foo=1", "no key attack.fgsm.foo; attack.fgsm has "),
        (MeasureConfig, "num_architectures=0", "num_architectures=0 should be a whole number from 1 or null"),
        (RunConfig, "seeds=[]", "seeds=[] should be a list of whole numbers from 0, e.g. [0,1,2]"),
        (RunConfig, "share=[0,3]", "share=[0, 3] should be null or [k,n], the k-th of n shares, counted from 1"),
        (RunConfig, "share=[4,3]", "share=[4, 3]: there is no share 4 of 3; give [k,n], the k-th of n shares, from 1"),
        (RunConfig, "network.channels=2.5", "network.channels=2.5 should be a whole number from 1"),
        (
            RunConfig,
            "+sensitivity.projection=3",
            "no key sensitivity.projection (did you mean sensitivity.projections?)",
        ),
        (RunConfig, "corruption.splits=test", "corruption.splits=test should be a list, each item text, e.g. [test]"),
        (RunConfig, "executor.workers=two", "executor.workers=two should be a whole number"),
        (TrainNetworkConfig, "seed=-1", "seed=-1 should be a whole number from 0 to 2147483647"),
        (TrainNetworkConfig, "evaluate_every=0", "evaluate_every=0 should be a whole number from 1"),
        (TrainNetworkConfig, "save_every=0", "save_every=0 should be a whole number from 1 or null"),
    ],
)
def test_what_is_refused(schema: type[Schema], override: str, said: str) -> None:
    root = ROOTS[schema]
    given = [g for g in GIVEN[root] if g.split("=")[0] != override.split("=")[0]]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        config: Any = OmegaConf.to_container(compose(root, overrides=[*given, override]), resolve=True)
    with pytest.raises(ConfigurationError) as refusal:
        schema.check(config)
    assert str(refusal.value).startswith(said)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("train_network", overrides=["architecture=darts_v2", "out=there", "device=cuda"])
    config = OmegaConf.to_container(cfg, resolve=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"^device=cuda: no CUDA device found; give device=cpu$"):
        TrainNetworkConfig.check(config)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    TrainNetworkConfig.check(config)


def test_the_protocol_of_a_live_search_has_its_place() -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("search", overrides=["objective=live", "objective.protocol.network.channels=0"])
    protocol = OmegaConf.to_container(cfg.objective.protocol, resolve=True)
    with pytest.raises(ConfigurationError, match=r"^objective\.protocol\.network\.channels=0 should be"):
        ProtocolConfig.check(protocol, "objective.protocol")
