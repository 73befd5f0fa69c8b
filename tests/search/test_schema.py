"""What each command refuses before it does anything; ``tests/configs`` has what they accept."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from agnet.errors import ConfigurationError
from agnet.runtime.paths import CONF_DIR
from agnet.runtime.schema import Schema
from search.schema import CompareConfig, ImportTableConfig, PretrainConfig, ProposeConfig, SearchConfig

ROOTS: dict[type[Schema], str] = {
    SearchConfig: "search",
    CompareConfig: "compare",
    PretrainConfig: "pretrain",
    ProposeConfig: "propose",
    ImportTableConfig: "import_table",
}
GIVEN = {
    "search": [],
    "compare": ["out=there"],
    "pretrain": ["out=there"],
    "propose": ["run_dir=there"],
    "import_table": ["path=there", "out=there.parquet"],
}


@pytest.mark.parametrize(
    ("schema", "override", "said"),
    [
        (SearchConfig, "run_dir=", "run_dir= should be a path"),
        (SearchConfig, "run_dir=5", "run_dir=5 should be a path or null, e.g. ./5"),
        (SearchConfig, "data_root=5", "data_root=5 should be a path, e.g. ./5"),
        (SearchConfig, "seed=2147483648", "seed=2147483648 should be a whole number from 0 to 2147483647"),
        (SearchConfig, "threads=0", "threads=0 should be a whole number from 1"),
        (SearchConfig, "save_every=inf", "save_every=inf should be a number of seconds from 0"),
        (SearchConfig, "plot=5", "plot=5 should be true or false"),
        (SearchConfig, "under={a: [nan]}", "under={'a': [nan]} should be null or columns, each with a list of numbers"),
        (
            SearchConfig,
            "under=3",
            "under=3 should be null or columns, each with a list of numbers, e.g. {latency_ms: [2, 4]}",
        ),
        (SearchConfig, "+budegt=3", "no key budegt (did you mean budget?)"),
        (SearchConfig, "+optimizers=[agnet]", "no key optimizers (did you mean optimizer?)"),
        (CompareConfig, "at=[]", "at=[] should be null or a list of numbers of queries, e.g. [96,192]"),
        (CompareConfig, "at=5", "at=5 should be null or a list of numbers of queries, e.g. [96,192]"),
        (CompareConfig, "show=[]", "show=[] should be null or a list that is not empty, each item text"),
        (CompareConfig, "seeds=1000000000", "seeds=1000000000 should be a whole number from 1 to 10000"),
        (SearchConfig, "budget=1000000000", "budget=1000000000 should be a whole number from 1 to 1000000"),
        (SearchConfig, "optimizer.proposal.prior=1000000000", "optimizer.proposal.prior=1000000000 is too large; give"),
        (PretrainConfig, "draws=1000000000", "draws=1000000000 should be a whole number from 1 to 1000000"),
        (PretrainConfig, "schedule.steps=1000000000", "schedule.steps=1000000000 is too large; give at most 1000000"),
        (ProposeConfig, "n=1000000000", "n=1000000000 should be a whole number from 1 to 1000000"),
        (CompareConfig, "only=5", "only=5 should be null or a list of labels of problems"),
        (CompareConfig, "only=[]", "only=[] should be null or a list of labels of problems"),
        (CompareConfig, "into=nope.md", "into=nope.md: no such file; name a markdown file that has the two lines"),
        (CompareConfig, "out=/proc/x", "out=/proc/x: cannot write into /proc"),
        (SearchConfig, "under={a: []}", "under={'a': []} should be null or columns, each with a list of numbers"),
        (SearchConfig, "space._target_=builtins.list", "space._target_=builtins.list makes no space; take one of"),
        (SearchConfig, "optimizer._target_=os.getcwd", "optimizer._target_=os.getcwd makes no optimizer; take one of"),
        (SearchConfig, "optimizer.model=null", "optimizer.model=null should be a section that makes AbstractModel"),
        (SearchConfig, "+optimizer.foo=1", "no key optimizer.foo; optimizer has "),
        (SearchConfig, "threads=100000", "threads=100000: this machine has "),
        (CompareConfig, "brief=5", "brief=5 should be true or false"),
        (CompareConfig, "show=a", "show=a should be null or a list that is not empty, each item text, e.g. [a]"),
        (CompareConfig, "first_seed=-1", "first_seed=-1 should be a whole number from 0 to 2147483647"),
        (CompareConfig, "out=", "out= should be a path"),
        (CompareConfig, "budget=0", "budget=0 should be a whole number from 1"),
        (PretrainConfig, "generator.layers=0", "generator.layers=0 should be a whole number from 1"),
        (PretrainConfig, "schedule.betas=5", "schedule.betas=5 should be a list, each item a number, e.g. [5]"),
        (PretrainConfig, "draws=0", "draws=0 should be a whole number from 1"),
        (ProposeConfig, "n=0", "n=0 should be a whole number from 1"),
        (
            ProposeConfig,
            "want=fast",
            "want=fast should be null or columns, each with its bounds, e.g. {latency_ms: {max: 4}}",
        ),
        (ProposeConfig, "out=list.txt", "out=list.txt should be null or a .csv file"),
        (ImportTableConfig, "path=???", "path has no default; give path=VALUE"),
        (ImportTableConfig, "progress=yes please", "progress=yes please should be true or false"),
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
