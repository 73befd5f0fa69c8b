"""Paths of a checkout.

``conf/`` and ``checkpoints/`` belong to the checkout, not to the installed package: the commands run from a
clone (``pip install -e .``), as CONTRIBUTING explains.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF_DIR = ROOT / "conf"
CHECKPOINT_DIR = ROOT / "checkpoints"


def git_revision() -> str:
    """The checkout's commit, with ``+changes`` if tracked files differ from it; "unknown" outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
