"""What workers elsewhere have to know of this process's environment: where caches are, whether there is a network."""

from __future__ import annotations

import os

CAPTURED = ("XGLUE_CACHE", "XGLUE_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE")
"""Variables that workers get as they are here, whatever the program that starts them hands on. No tokens."""


def captured() -> dict[str, str]:
    """Those that are set, by name."""
    return {name: os.environ[name] for name in CAPTURED if os.environ.get(name)}
