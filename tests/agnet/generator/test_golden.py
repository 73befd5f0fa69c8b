import json

import pytest
import torch

from tests.golden.make_generator import VARIANTS, decode, golden


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_shipped_generators_decode_as_when_they_were_shipped(variant: str | None) -> None:
    stored, found = json.loads(golden(variant).read_text()), decode(variant)
    assert found["sha256"] == stored["sha256"]
    for scores in ("nodes", "edges"):
        assert torch.allclose(torch.tensor(found[scores]), torch.tensor(stored[scores]), rtol=1e-3, atol=1e-3)
