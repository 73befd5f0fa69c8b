"""``python -m evaluation.draw architecture=darts_v2 out=pair.png``: a drawing of a pair of DARTS cells."""

from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from agnet.runtime.command import entry_point
from agnet.runtime.files import replacing
from agnet.spaces.darts.genotype import to_genotype
from evaluation.networks.darts.published import read_architecture
from evaluation.report.darts_drawing import draw_pair


def run(cfg: DictConfig) -> None:
    """Draw what a configuration names and say where it lies."""
    from evaluation.schema import DrawConfig

    DrawConfig.check(OmegaConf.to_container(cfg, resolve=True))
    path, architecture = Path(cfg.out), read_architecture(cfg.architecture)
    figure = draw_pair(architecture)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)
    print(f"{path}: {to_genotype(architecture)}")


main = entry_point(hydra.main, "draw", run)

if __name__ == "__main__":
    main()
