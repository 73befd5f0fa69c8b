"""What a file may build: the parts that this project ships, and packages that the user has named.

A configuration names classes and functions by ``_target_``. On the command line these are the user's own choice. A run
folder, a table or a manifest may come from anybody, so whatever is built from one is checked here first.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from agnet.errors import UntrustedTarget
from agnet.runtime.paths import CONF_DIR

_NAMED = re.compile(r"_target_[\"']?\s*[:=]\s*[\"']?([\w.]+)")


def check_targets(config: Any, *, source: Path, trusted: Sequence[str] = ()) -> None:
    """Refuse a configuration from a file that would build anything but parts of this project.

    Args:
        config: plain dictionaries, lists and values.
        source: the file, for the message.
        trusted: packages whose classes and functions may be built too, as the user has said.

    Raises:
        UntrustedTarget: naming the target and the remedy.
    """
    for target in targets_of(config):
        name = target if isinstance(target, str) else ""
        package = name.partition(".")[0]
        if any(name.startswith(f"{known}.") for known in trusted):
            continue
        if name not in shipped_targets():
            raise UntrustedTarget(
                f"{source} asks for {target!r}, which is no part that this project ships; if you trust that file, "
                f"add trust=[{package or 'PACKAGE'}]"
            )
        if getattr(resolve_name(name), "starts_program", False):
            raise UntrustedTarget(
                f"{source} asks for {name}, which starts a program that the file names; if you trust that file, add "
                f"trust=[{package}]"
            )


@cache
def shipped_targets() -> frozenset[str]:
    """The targets that a file of ``conf/`` names."""
    texts = (path.read_text(encoding="utf-8") for path in CONF_DIR.rglob("*.yaml"))
    return frozenset(name for text in texts for name in _NAMED.findall(text))


def targets_of(config: Any) -> Iterator[Any]:
    """What the sections of a configuration name under ``_target_``.

    Args:
        config: plain dictionaries, lists and values.
    """
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key == "_target_":
                yield value
            else:
                yield from targets_of(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from targets_of(value)
