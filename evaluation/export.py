"""``python -m evaluation.export details=PATH out=DIR``: details in the layout of the published robustness dataset."""

from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from agnet.arguments import check_arguments
from agnet.command import command
from agnet.details import read_details
from agnet.errors import ConfigurationError
from agnet.paths import CONF_DIR
from agnet.tables import read_metadata
from evaluation.tree import write_tree


def run(cfg: DictConfig) -> None:
    """Write what a configuration describes and say where it lies."""
    check_arguments(OmegaConf.to_container(cfg, resolve=True))
    if cfg.seed is not None and type(cfg.seed) is not int:
        raise ConfigurationError(f"seed={cfg.seed} must be a whole number, or null for the lowest")
    path, out = Path(cfg.details), Path(cfg.out)
    details = read_details(path)
    written = write_tree(
        out, details, read_metadata(path), split=cfg.split, seed=cfg.seed, force=cfg.force, progress=cfg.progress
    )
    print(f"{out}: {len(written)} files of the {cfg.split} images; read them with the robustness dataset's own class")


main = command(hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="export"), run)

if __name__ == "__main__":
    main()
