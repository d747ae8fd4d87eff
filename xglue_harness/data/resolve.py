"""From what a user writes (``--metadata '{"data": ...}'`` or ``XGLUE_DATA``) to a source of data."""

from __future__ import annotations

import os
from collections.abc import Mapping

from xglue_harness.benchmark import TASKS
from xglue_harness.data.archive import ArchiveSource
from xglue_harness.data.folder import SAMPLE, FolderSource
from xglue_harness.data.hub import HubSource
from xglue_harness.data.hub_datasets import COPY
from xglue_harness.data.source import Source
from xglue_harness.errors import DataError
from xglue_harness.files import is_folder, is_regular, user_path

VARIABLE = "XGLUE_DATA"
"""The environment variable that says where the data is when the metadata does not."""


def open_source(data: str | Mapping[str, str] | None) -> Source:
    """Open a source of data.

    Args:
        data: ``sample``, ``hub`` (the official archive from the Hub), the path of a folder in the official layout,
            the path of the official ``.tar.gz``, the copy ``hgissbkh/xglue`` or, by short name of the task,
            ``repo/id@revision`` or a local folder, the other tasks then being those of ``hub``. ``None``: what
            ``XGLUE_DATA`` says, else ``hub``. A folder named ``hub`` is ``./hub``.

    Raises:
        DataError: if there is no such thing.
    """
    if data is None:
        data = os.environ.get(VARIABLE) or "hub"
    if not isinstance(data, str):
        return HubSource(data)
    if data == "sample":
        return FolderSource(SAMPLE, name="sample")
    if data == "hub":
        return HubSource()
    if data == COPY:
        return HubSource(dict.fromkeys(TASKS, COPY))
    try:
        path = user_path(data)
        if is_folder(path):
            return FolderSource(path)
        if is_regular(path):
            return ArchiveSource(path)
    except OSError as error:
        raise DataError(f"data: {data[:200]}: {error.strerror}") from error
    raise DataError(
        f"data: {data}: no such file or folder; expected 'sample', 'hub', a folder in the official layout or "
        f"the official archive, in --metadata '{{\"data\": ...}}' or the environment variable {VARIABLE}"
    )
