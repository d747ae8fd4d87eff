"""Predictions kept in the cache under their content, until a results file tells of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xglue_harness.atomic import replacing
from xglue_harness.files import cache_root, unwritable_cache
from xglue_harness.records.predictions import RowPredictions, encoded
from xglue_harness.seal import DamagedFileError


def save_predictions(predictions: RowPredictions) -> str:
    """Write predictions into the cache, under their content.

    Returns:
        sha256 (hex) of the file.

    Raises:
        DataError: where the cache can't be written.
    """
    data = encoded(predictions)
    digest = hashlib.sha256(data).hexdigest()
    path = saved_predictions(digest)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise unwritable_cache(path.parent, error) from error
    return digest


def saved_predictions(sha256: str) -> Path:
    """Where `save_predictions` puts predictions of that hash."""
    return cache_root() / "predictions" / f"{sha256}.parquet"


def copy_saved(sha256: str, path: Path) -> None:
    """Copy predictions from the cache, whole or not at all.

    Raises:
        OSError: where they are not in the cache, or ``path`` can't be written.
        DamagedFileError: where they are not what was written.
    """
    data = checked_bytes(saved_predictions(sha256))
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def checked_bytes(path: Path) -> bytes:
    """The bytes of a file that `save_predictions` wrote.

    Raises:
        DamagedFileError: where they are not what was written.
        OSError: where it can't be read.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise DamagedFileError(f"{path.name} is damaged: its checksum is not its name")
    return data
