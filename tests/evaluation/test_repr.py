"""One line says what a value is and how many it holds, without numbers of tensors."""

import torch

from evaluation import evaluate
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.data.bundled import digits
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack
from evaluation.production.store import Found
from evaluation.production.unit import Unit, UnitRecord

CELL = "|none~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"


def test_representations_are_one_line() -> None:
    splits = digits(num_valid=20, num_test=10)
    network = CellNetwork(CELL, NetworkShape(10, 1, 2, 1)).eval()
    attack = FGSM([0.5 / 255, 8 / 255])
    found = evaluate(network, splits.test.stored, torch.zeros(10, dtype=torch.int64), [attack])
    assert repr(splits.test) == "Images(10 of 1x8x8, torch.float32 on cpu)"
    expected = {
        network: f"CellNetwork({CELL}, 2 channels, 1 cells per stage, 10 classes)",
        attack: "FGSM(fgsm: eps 0.5/255, 8/255, linf)",
    }
    for value, text in expected.items():
        assert repr(value) == text
    clean = found.accuracies["clean"]
    assert repr(found.outcomes[0]) == f"AttackOutcome(clean, published: {clean:.2f} % of 10 images)"
    assert repr(found).startswith(f"Evaluation(10 images, 10 classes: clean {clean:.2f} %, fgsm_eps0.5 ")
    assert repr(splits).startswith("ImageSplits(digits, 10 classes, train=Images(")
    assert repr(NetworkStack([CELL] * 3, network.shape, seed=0)).startswith("NetworkStack(3 networks, NetworkShape(")
    unit = Unit(CELL, 0)
    assert repr(UnitRecord(unit, {"a": 1.0}, {}, [])) == f"UnitRecord({CELL}, seed 0: 1 columns, 0 outcomes)"
    assert repr(Found(missing=[unit])) == "Found(0 done, 0 failed, 1 missing, 0 damaged)"
    for value in (splits, network, found):
        assert "tensor" not in repr(value)
        assert "\n" not in repr(value)
