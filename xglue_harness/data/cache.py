"""The cache: parsed splits as memory-mapped Arrow files, by content: a machine parses the same bytes once.

A file's name is a hash of everything that decides its rows, so nothing ever has to be invalidated. It appears by an
atomic rename, so the worst that racing processes can do is to write the same file twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.atomic import replacing
from xglue_harness.benchmark import TaskSpec
from xglue_harness.data.official import READER_VERSION, Rows, rows_sha256
from xglue_harness.data.source import LoadedSplit
from xglue_harness.errors import DataError
from xglue_harness.files import cache_root, unwritable_cache
from xglue_harness.kinds import kind_of
from xglue_harness.seal import DamagedFileError, seal

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_SHA256 = b"xglue_sha256"
_FORMAT = 3  # raised when the cached file holds other things than before
_BATCH = 1000
_SEAL = 64
"""Characters of a seal."""

logger = logging.getLogger(__name__)


def split_key(content: str, task: TaskSpec, split: str) -> str:
    """Hash (hex) of everything that decides a parsed split's rows.

    Args:
        content: sha256 (hex) of the file's bytes.
        task: how the file is read: its columns, labels, aliases and header.
        split: ``train``, ``dev`` or ``test``.
    """
    facts = [content, task.name, split, READER_VERSION, task.columns, task.labels, sorted(task.aliases.items())]
    facts += [split in task.header, task.skipped_columns, _FORMAT]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def cached_split(key: str, task: TaskSpec, path: str, make: Callable[[], Rows]) -> LoadedSplit:
    """The split of that key, memory-mapped; ``make`` is called and its rows are stored where the cache lacks it.

    A damaged file is rebuilt, with a warning.

    Args:
        key: of `split_key`.
        task: the task that it belongs to.
        path: the split's official path, for ``LoadedSplit.files``.
        make: reads the rows.

    Raises:
        DataError: if the cache can't be written; and what ``make`` raises.
    """
    file = cache_root() / "arrow" / f"{key}.arrow"
    if file.exists():
        try:
            return LoadedSplit(*_open(file, path))
        except DamagedFileError as error:
            logger.warning("the cached file %s is damaged (%s); it is built anew", file, error)
    table = _table(make(), task)
    try:
        _write(table, file)
    except OSError as error:
        raise unwritable_cache(file.parent, error) from error
    try:
        return LoadedSplit(*_open(file, path))
    except DamagedFileError as error:
        raise DataError(
            f"the cached file {file} was damaged while it was written ({error}); is the disk full or failing?"
        ) from error


def sealed_stream(file: Path) -> pa.Buffer:
    """The Arrow stream in a file, mapped into memory: the very bytes that were checked against the seal at its end.

    Raises:
        DamagedFileError: where they do not agree, or it can't be read.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as mapped:
            whole = mapped.read_buffer()
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(f"it can't be read: {error}") from None
    size = max(0, whole.size - _SEAL)
    stream = whole.slice(0, size)
    if whole.slice(size).to_pybytes() != seal(file.stem, [stream]).encode():
        raise DamagedFileError("its checksum is not its own")
    return stream


def _open(file: Path, path: str) -> tuple[datasets.Dataset, dict[str, str]]:
    import datasets
    import pyarrow as pa
    from datasets.table import MemoryMappedTable

    rows = pa.ipc.open_stream(sealed_stream(file)).read_all()
    dataset = datasets.Dataset(MemoryMappedTable(rows, str(file)), fingerprint=file.stem)
    return dataset, {path: rows.schema.metadata[_SHA256].decode()}


def _table(rows: Rows, task: TaskSpec) -> pa.Table:
    import pyarrow as pa

    text, label = (kind_of(task).column_type(value) for value in (pa.string(), pa.int64()))
    arrays = [pa.array(rows.texts[column], text) for column in task.columns[:-1]]
    arrays.append(pa.array(rows.labels, label))
    metadata = {_SHA256: rows_sha256(rows).encode()}
    return pa.table(arrays, names=list(task.columns)).replace_schema_metadata(metadata)


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=_BATCH)
    stream = sink.getvalue()
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(stream)
        file.write(seal(path.stem, [stream]).encode())
