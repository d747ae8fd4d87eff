"""The cache: parsed splits as memory-mapped Arrow files, by content: the same bytes are parsed once on a machine.

A file's name is a hash of all that decides its rows, so that nothing has to be invalidated, and it appears by an atomic
rename, so that processes that race write the same file twice at worst.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.data.official import READER_VERSION, Rows
from xglue_harness.errors import DataError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_ROWS = b"xglue_rows"
_BATCH = 1000

logger = logging.getLogger(__name__)


def cache_root() -> Path:
    """``$XGLUE_CACHE``, else ``$XDG_CACHE_HOME/xglue_harness``, else ``~/.cache/xglue_harness``."""
    if chosen := os.environ.get("XGLUE_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xglue_harness"


def unwritable(folder: Path, error: Exception) -> DataError:
    """The error for a cache folder that can't be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return DataError(
        f"cannot write the cache folder {folder} ({reason}); "
        "set the environment variable XGLUE_CACHE to a folder that can be written and has room"
    )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary place that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        OSError: where it can't be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes what is open for writing only
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        with suppress(OSError):  # in a folder that can't be written there is nothing to take away either
            temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make renames within a folder survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems flush no folders
            os.fsync(handle)
    finally:
        os.close(handle)


def split_key(content: str, task: TaskSpec, split: str) -> str:
    """Hash (hex) of all that decides a parsed split's rows.

    Args:
        content: sha256 (hex) of the file's bytes.
        task: how the file is read: its columns, labels, aliases and header.
        split: ``train``, ``dev`` or ``test``.
    """
    facts = [content, task.name, split, READER_VERSION, task.columns, task.labels, sorted(task.aliases.items())]
    facts += [split in task.header, task.skipped_columns]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def cached_split(key: str, task: TaskSpec, make: Callable[[], Rows]) -> datasets.Dataset:
    """The split of that key, memory-mapped; ``make`` is called and its rows are stored where the cache lacks it.

    A damaged file is rebuilt, with a warning.

    Raises:
        DataError: if the cache can't be written; and what ``make`` raises.
    """
    path = cache_root() / "arrow" / f"{key}.arrow"
    if path.exists():
        dataset = _open(path)
        if dataset is not None:
            return dataset
        logger.warning("the cached file %s is damaged; it is built anew", path)
    table = _table(make(), task)
    try:
        _write(table, path)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    dataset = _open(path)
    if dataset is None:
        raise DataError(f"the cached file {path} was damaged while it was written; is the disk full or failing?")
    return dataset


def _open(path: Path) -> datasets.Dataset | None:
    import datasets
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            expected = (pa.ipc.open_stream(file).schema.metadata or {}).get(_ROWS)
        dataset = datasets.Dataset.from_file(str(path))
    except (pa.ArrowException, OSError, ValueError):
        return None
    # An Arrow stream that is cut between two batches opens without an error: hence the count.
    return dataset if expected == str(dataset.num_rows).encode() else None


def _table(rows: Rows, task: TaskSpec) -> pa.Table:
    import pyarrow as pa

    tagging = task.kind is Kind.TAGGING
    text, label = (pa.list_(pa.string()), pa.list_(pa.int64())) if tagging else (pa.string(), pa.int64())
    arrays = [pa.array(rows.texts[column], text) for column in task.columns[:-1]]
    arrays.append(pa.array(rows.labels, label))
    metadata = {_ROWS: str(len(rows)).encode()}
    return pa.table(arrays, names=list(task.columns)).replace_schema_metadata(metadata)


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow as pa

    with replacing(path) as temporary, temporary.open("xb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=_BATCH)
