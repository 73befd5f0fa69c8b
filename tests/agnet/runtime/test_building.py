"""A file builds parts that this project ships, and nothing else."""

from pathlib import Path

import pytest

from agnet.errors import UntrustedTarget
from agnet.runtime.building import check_targets, shipped_targets

SOURCE = Path("runs/x/config.yaml")


def test_what_the_configurations_name_is_shipped() -> None:
    assert {"agnet.NASBench201", "agnet.LatentSearch", "search.RandomSearch", "evaluation.PGD"} <= shipped_targets()
    check_targets(
        {"space": {"_target_": "agnet.NASBench201"}, "list": [{"_target_": "search.NoLogger"}]}, source=SOURCE
    )


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.exec",
        "numpy.load",
        "agnet.runtime.files.write_text",  # ours, but no part
        "agnet.runtime.files.os.system",  # reached through a module of ours
        "search.run.os.system",
        "agnet",
        "",
        5,
        None,
        ["os.system"],
    ],
)
@pytest.mark.parametrize("place", ["top", "nested", "listed", "argument"])
def test_anything_else_is_refused(target: object, place: str) -> None:
    section = {"_target_": target, "file": "x"}
    config = {
        "top": section,
        "nested": {"optimizer": {"_target_": "agnet.LatentSearch", "acquisition": section}},
        "listed": {"a": [[section]]},
        "argument": {"_target_": "agnet.NASBench201", "_args_": [section]},
    }[place]
    with pytest.raises(UntrustedTarget, match=r"runs/x/config\.yaml asks for .* trust="):
        check_targets(config, source=SOURCE)


def test_named_packages_are_trusted() -> None:
    config = {"space": {"_target_": "mine.spaces.Trees"}}
    check_targets(config, source=SOURCE, trusted=["mine"])
    for others in (["min"], ["mine.other"], []):
        with pytest.raises(UntrustedTarget, match=r"trust=\[mine\]"):
            check_targets(config, source=SOURCE, trusted=others)
