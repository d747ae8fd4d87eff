"""Records as files in a new folder, all of them or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xglue_harness.atomic import new_folder
from xglue_harness.data.prepare import check_new
from xglue_harness.errors import DataError


def written_json(value: Mapping[str, Any]) -> str:
    """JSON as it is written: in the order that it was made in; NaN is an error."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write files into a folder that is to appear.

    Args:
        files: text by path within it.
        folder: it may exist if it is empty.

    Raises:
        DataError: where it is not empty, or can't be written; then nothing is left behind.
    """
    check_new(folder)
    try:
        with new_folder(folder) as inner:
            for path, text in files.items():
                place = inner / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}; nothing was left behind") from error
