"""``python -m evaluation.draw architecture=darts_v2 out=pair.png``: a drawing of a pair of DARTS cells."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from agnet.errors import ConfigurationError
from agnet.runtime.command import command
from agnet.runtime.files import replacing
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.darts.genotype import to_genotype
from evaluation.networks.darts.published import read_architecture
from evaluation.report.darts_drawing import draw_pair

FORMATS = (".png", ".pdf", ".svg")


def run(cfg: DictConfig) -> None:
    """Draw what a configuration names and say where it lies."""
    path = Path(str(cfg.out))
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"out={path}; give a file that ends in {', '.join(FORMATS)}")
    architecture = read_architecture(str(cfg.architecture))
    figure = draw_pair(architecture)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)
    print(f"{path}: {to_genotype(architecture)}")


main = command(hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="draw"), run)

if __name__ == "__main__":
    main()
