"""``python -m evaluation.export details=PATH out=DIR``: details in the layout of the published robustness dataset."""

import json
from pathlib import Path

import hydra
from omegaconf import DictConfig

from agnet.errors import ConfigurationError
from agnet.runtime.command import command
from agnet.runtime.paths import CONF_DIR, git_revision
from agnet.spaces import NASBench201
from agnet.tables.conditions import read_details
from agnet.tables.table import content_hash, read_metadata
from evaluation.production.published_json import chosen_rows, measurements, write_tree


def run(cfg: DictConfig) -> None:
    """Write what a configuration describes and say where it lies."""
    if type(cfg.seed) not in (int, type(None)):
        raise ConfigurationError(f"seed={cfg.seed} must be a whole number, or null for the lowest")
    if type(cfg.force) is not bool:
        raise ConfigurationError(f"force={cfg.force}; give true or false")
    path, out, space = Path(str(cfg.details)), Path(str(cfg.out)), NASBench201()
    details = read_details(path)
    rows, seed = chosen_rows(details, str(cfg.split), cfg.seed)
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


main = command(hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="export"), run)

if __name__ == "__main__":
    main()
