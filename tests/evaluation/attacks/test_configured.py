import pytest

from agnet.errors import ConfigurationError
from evaluation.attacks.configured import build_attacks


def test_radii_of_a_configuration_are_in_units_of_255() -> None:
    [attack] = build_attacks({"fgsm": {"_target_": "evaluation.FGSM", "eps_255": [8, 16]}})
    assert list(attack.eps) == [8 / 255, 16 / 255]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": [8]}, r"attack.fgsm.eps=\[8\]: give radii as attack.fgsm.eps_255, in units of 1/255"),
        ({"eps_255": 8}, "attack.fgsm.eps_255=8; give a list of numbers"),
        ({"eps_255": ["x"]}, "give a list of numbers"),
    ],
)
def test_other_radii_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_attacks({"fgsm": {"_target_": "evaluation.FGSM", **settings}})
