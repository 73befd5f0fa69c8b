"""Shipped files and the manifest that verifies them.

A folder of checkpoints holds a ``MANIFEST.json``. It gives for every file the hash and size, the command, revision and
seed that made it, and its metrics. Weights are safetensors; nothing is unpickled.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from agnet.errors import CheckpointMismatch, UnreadableFile
from agnet.generator.joint import JointGenerator
from agnet.generator.model import AbstractGenerator, GraphGenerator
from agnet.runtime.digests import of_bytes, of_file
from agnet.runtime.files import updating, write_bytes, write_text
from agnet.runtime.gradients import with_gradients
from agnet.runtime.names import file_name
from agnet.runtime.paths import CHECKPOINT_DIR
from agnet.runtime.reading import read_bytes, read_json
from agnet.runtime.renamed import current_settings
from agnet.spaces.base import AbstractSpace

MANIFEST = "MANIFEST.json"


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Entries of a folder's manifest by file name; empty if there is none.

    Raises:
        CheckpointMismatch: if the manifest is not JSON.
    """
    path = folder / MANIFEST
    if not path.exists() or not path.stat().st_size:  # a kill may leave a new manifest empty
        return {}
    try:
        entries = read_json(path)
    except UnreadableFile as error:
        raise CheckpointMismatch(str(error)) from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise CheckpointMismatch(f"{path} does not hold an entry for each file; restore it from version control")
    return entries


def record(path: Path, entry: Mapping[str, Any]) -> None:
    """Enter a file into the manifest beside it, with its hash and size; processes that do so at once wait."""
    with updating(path.parent / MANIFEST):
        manifest = read_manifest(path.parent)
        manifest[path.name] = {"sha256": of_file(path), "bytes": path.stat().st_size, **entry}
        write_text(path.parent / MANIFEST, json.dumps(dict(sorted(manifest.items())), indent=1) + "\n")


def verify(path: Path) -> dict[str, Any]:
    """The manifest entry of a file, after checking the file against it.

    Raises:
        CheckpointMismatch: if the file is missing, has no entry, or differs from it.
    """
    return _verified(path)[0]


def _verified(path: Path) -> tuple[dict[str, Any], bytes]:
    """The manifest entry of a file, and the content that it is the entry of."""
    if not path.is_file():
        raise CheckpointMismatch(f"no file {path}; make it with python -m search.pretrain, or correct the path")
    entry = read_manifest(path.parent).get(path.name)
    if entry is None:
        raise CheckpointMismatch(f"{path.parent / MANIFEST} has no entry for {path.name}; make both with one command")
    content = read_bytes(path)
    found = of_bytes(content)
    if found != entry.get("sha256"):
        raise CheckpointMismatch(
            f"{path} has SHA-256 {found[:12]}..., its manifest says {str(entry.get('sha256'))[:12]}...; restore the "
            f"file or make it again with: {entry.get('command')}"
        )
    return entry, content


def _settings(path: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The model's settings in a manifest entry, which may come from anybody: whole numbers."""
    settings = entry.get("model", {})
    settings = current_settings(settings) if isinstance(settings, dict) else {}
    broken = [name for name, value in settings.items() if type(value) is not int]
    if broken or not settings:
        said = f"{broken[0]}={settings[broken[0]]!r}" if broken else f"model={entry.get('model')!r}"
        raise CheckpointMismatch(
            f"{path.parent / MANIFEST}: {path.name} has {said[:100]}, which no generator has; restore it, or make the "
            "file again"
        )
    return settings


def save_generator(path: Path, model: GraphGenerator, entry: Mapping[str, Any]) -> None:
    """Write a generator's weights and enter them into the manifest.

    Args:
        path: the safetensors file.
        model: the generator to save.
        entry: command, revision, seed, space, metrics.
    """
    write_bytes(path, save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}))
    record(path, {"model": model.settings(), **entry})


def generator_file(space: AbstractSpace, variant: str | None = None) -> str:
    """File name of a space's generator; a variant names a pretraining that is not the default."""
    name = f"generator_{space.generated_as}{'' if variant is None else f'_{variant}'}"
    return f"{file_name(name, 'generator')}.safetensors"


@with_gradients
def load_generator(
    space: AbstractSpace, path: str | Path | None = None, *, variant: str | None = None
) -> tuple[AbstractGenerator, dict[str, Any]]:
    """A verified generator for a space, joint if its graphs have several parts, and its manifest entry.

    Args:
        space: the space that the generator must have been made for.
        path: the safetensors file, with its manifest beside it; None for the one shipped for the space.
        variant: variant of the shipped file; ``"noise"`` was pretrained as in the paper.

    Raises:
        CheckpointMismatch: if the file fails verification or was made for another space.
    """
    path = CHECKPOINT_DIR / generator_file(space, variant) if path is None else Path(path)
    entry, content = _verified(path)
    settings = _settings(path, entry)
    expected = {"num_types": space.num_types, "max_nodes": len(space.parts[0])}
    if {key: settings.get(key) for key in expected} != expected:
        raise CheckpointMismatch(
            f"{path} was made with {settings}, {space.name} needs {expected}; choose that space's checkpoint"
        )
    try:
        # no weights are drawn there: drawing moves the global random state
        model = GraphGenerator(**settings, device="meta")
        model.load_state_dict(load(content), assign=True)
    except (RuntimeError, TypeError, ValueError, SafetensorError) as error:
        first = next((line.strip() for line in str(error).splitlines()[1:]), str(error))  # torch lists every tensor
        raise CheckpointMismatch(
            f"{path} does not hold the generator its manifest describes, {settings}: {first} Restore both, or make "
            f"them again with: {entry.get('command')}"
        ) from error
    return model if len(space.parts) == 1 else JointGenerator(model, space.parts), entry
