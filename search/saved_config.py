"""Read the ``config.yaml`` of a run folder, which may come from anybody: bounded, and plain values only."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agnet.errors import UnreadableFile
from agnet.runtime.reading import damaged, read_text

_MOST_BYTES = 2**20
_MOST_NESTING = 100
_MOST_EVENTS = 100_000


def read_yaml(path: Path) -> Any:
    """The plain value in a YAML file that a command wrote: no aliases, no tags, no interpolations.

    Raises:
        UnreadableFile: if it cannot be read, or holds what such a file never holds.
    """
    text = read_text(path, most=_MOST_BYTES)
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _MOST_NESTING or count > _MOST_EVENTS:
                raise damaged(path, "it has aliases, or is larger or nested deeper than a configuration")
            if getattr(event, "tag", None) is not None:
                raise damaged(path, f"it has the tag {event.tag}")
            if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
                raise damaged(path, f"it holds the interpolation {event.value!r}, which a finished one has not")
        return OmegaConf.to_container(OmegaConf.create(text)) if text.strip() else {}
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        if isinstance(error, UnreadableFile):
            raise
        said = " ".join(str(error).split())[:200]
        raise damaged(path, f"no YAML: {said}") from error
