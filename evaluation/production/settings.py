"""Settings of a run whose networks are kept, in its folder, from which its protocol can be built again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.runtime.building import check_targets
from agnet.runtime.sealed import read_sealed_json, write_sealed_json
from evaluation.production.configured import FromConfig

SETTINGS = "settings.json"


def write_settings(folder: Path, digest: str, source: FromConfig) -> None:
    """Keep the settings of a protocol in the run's folder.

    Args:
        folder: the run's folder.
        digest: digest of the protocol.
        source: configuration that the protocol is built from; its other keys are left out.
    """
    from evaluation.schema import ProtocolConfig

    plain = json.loads(source.text)
    settings = {key: plain[key] for key in ProtocolConfig.model_fields if key in plain}
    write_sealed_json(folder / SETTINGS, {"protocol": digest, "settings": settings})


def read_settings(folder: Path, *, trusted: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """Settings of the protocol in a run's folder, and the digest that it should have.

    Args:
        folder: the run's folder, which may be anybody's.
        trusted: packages of the user whose classes the settings may name.

    Raises:
        RunDirectoryError: if the folder has no settings.
        UnreadableFile: if the file is damaged.
        UntrustedTarget: if it names what is no part of this project.
        ConfigurationError: if these are no settings of a protocol.
    """
    from evaluation.schema import ProtocolConfig

    path = folder / SETTINGS
    if not path.is_file():
        raise RunDirectoryError(f"{folder} has no {SETTINGS}; give the folder of evaluation.run with keep_weights=true")
    content = read_sealed_json(path)
    settings, digest = content.get("settings"), content.get("protocol")
    if not isinstance(settings, dict) or not isinstance(digest, str):
        raise ConfigurationError(f"{path} holds no settings of a protocol; restore it")
    check_targets(settings, source=path, trusted=trusted)
    try:
        ProtocolConfig.check(settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return settings, digest
