"""``python -m evaluation.export details=PATH out=DIR``: details in the layout of the published robustness dataset."""

import json
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from agnet.runtime.command import entry_point
from agnet.runtime.paths import git_revision
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.conditions import read_details
from agnet.tables.table import content_hash, read_metadata
from evaluation.production.published_json import chosen_rows, measurements, write_tree


def run(cfg: DictConfig) -> None:
    """Write what a configuration describes and say where it lies."""
    from evaluation.schema import ExportConfig

    ExportConfig.check(OmegaConf.to_container(cfg, resolve=True))
    path, out, space = Path(cfg.details), Path(cfg.out), NASBench201()
    details = read_details(path)
    rows, seed = chosen_rows(details, cfg.split, cfg.seed)
    metadata = read_metadata(path)
    protocol = json.loads(metadata.get("protocol", "{}"))
    norms = {name: attack["norm"] for name, attack in protocol.get("attacks", {}).items()}
    about = {
        **metadata,
        "protocol": protocol,
        "content_sha256": content_hash(details),
        "split": cfg.split,
        "seed": seed,
        "export_revision": git_revision(),
    }
    found = measurements(rows, space, norms)
    count, left_out = write_tree(out, found, space, about, force=cfg.force, progress=cfg.progress)
    print(f"{out}: {count} files of the {cfg.split} images, seed {seed}")
    if left_out:
        print(f"no place in the layout: {'; '.join(left_out)}")


main = entry_point(hydra.main, "export", run)

if __name__ == "__main__":
    main()
