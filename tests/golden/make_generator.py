"""Makes ``generator_nasbench201.json`` from the shipped checkpoint: ``python -m tests.golden.make_generator``.

Only to be run again when the checkpoint is replaced on purpose.
"""

import json
from pathlib import Path
from typing import Any

import torch

from agnet.spaces import NASBench201
from agnet.weights import load_generator

PATH = Path(__file__).with_name("generator_nasbench201.json")


def decode() -> dict[str, Any]:
    """Scores of four fixed latent vectors (no random numbers: other versions of torch may draw others)."""
    model, entry = load_generator(NASBench201())
    z = torch.linspace(-2, 2, 4 * model.latent).reshape(4, model.latent)
    with torch.no_grad():
        decoded = model(z)
    return {
        "sha256": entry["sha256"],
        "nodes": decoded.nodes.tolist(),
        "edges": decoded.edges.tolist(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(decode()) + "\n")
