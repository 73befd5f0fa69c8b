from pathlib import Path

import pytest
from omegaconf import OmegaConf

from agnet.errors import ConfigurationError, InvalidArchitecture
from evaluation.draw import run
from evaluation.networks.darts.published import PUBLISHED
from evaluation.report.darts_drawing import LABELS, NAMES, draw_pair


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_operation_is_drawn_once_within_the_frame(name: str) -> None:
    figure = draw_pair(PUBLISHED[name])
    for axis, text in zip(figure.axes, PUBLISHED[name].split("/"), strict=True):
        written = sorted(t.get_text() for t in axis.texts if t.get_text() not in NAMES)
        assert written == sorted(LABELS[part.split("~")[0]] for part in text.replace("+", "").split("|") if part)
        (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
        for label in axis.texts:
            x, y = label.get_position()
            assert left < x < right
            assert low + 0.1 < y < high - 0.1


def test_longest_arcs_stay_within_the_frame() -> None:
    cell = (
        "|sep_conv_3x3~0|skip_connect~1|+" + "|max_pool_3x3~0|dil_conv_5x5~1|+" * 2 + "|avg_pool_3x3~0|sep_conv_5x5~1|"
    )
    for axis in draw_pair(f"{cell}/{cell}").axes:
        low, high = axis.get_ylim()
        assert all(low + 0.1 < label.get_position()[1] < high - 0.1 for label in axis.texts)
        places = [tuple(round(v, 3) for v in label.get_position()) for label in axis.texts]
        assert len(set(places)) == len(places)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_command(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / f"pair{suffix}"
    run(OmegaConf.create({"architecture": "darts_v2", "out": str(path)}))
    assert path.stat().st_size > 5_000
    assert "Genotype(normal=[('sep_conv_3x3', 0)" in capsys.readouterr().out


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"should be a file that ends in \.png, \.pdf or \.svg"):
        run(OmegaConf.create({"architecture": "darts_v2", "out": str(tmp_path / "pair.jpg")}))
    with pytest.raises(InvalidArchitecture):
        run(OmegaConf.create({"architecture": "|a~0|b~1|", "out": str(tmp_path / "pair.png")}))
