"""Makes the golden files of the shipped generators: ``python -m tests.golden.make_generator``.

Only to be run again when a checkpoint is replaced on purpose.
"""

import json
from pathlib import Path
from typing import Any

import torch

from agnet.generator.checkpoints import generator_file, load_generator
from agnet.spaces.nasbench201 import NASBench201

VARIANTS = (None, "noise")


def golden(variant: str | None) -> Path:
    """The golden file of a shipped generator."""
    return Path(__file__).with_name(generator_file(NASBench201(), variant)).with_suffix(".json")


def decode(variant: str | None) -> dict[str, Any]:
    """Scores of four fixed latent vectors (no random numbers: other versions of torch may draw others)."""
    model, entry = load_generator(NASBench201(), variant=variant)
    z = torch.linspace(-2, 2, 4 * model.latent_size).reshape(4, model.latent_size)
    with torch.no_grad():
        decoded = model(z)
    return {
        "sha256": entry["sha256"],
        "nodes": decoded.nodes.tolist(),
        "edges": decoded.edges.tolist(),
    }


if __name__ == "__main__":
    for name in VARIANTS:
        golden(name).write_text(json.dumps(decode(name)) + "\n")
