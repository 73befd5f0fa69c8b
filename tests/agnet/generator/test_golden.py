import json

import torch

from tests.golden.make_generator import PATH, decode


def test_the_shipped_generator_decodes_as_when_it_was_shipped() -> None:
    stored, found = json.loads(PATH.read_text()), decode()
    assert found["sha256"] == stored["sha256"]
    for scores in ("nodes", "edges"):
        assert torch.allclose(torch.tensor(found[scores]), torch.tensor(stored[scores]), rtol=1e-3, atol=1e-3)
