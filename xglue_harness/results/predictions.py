"""Predictions of one task and language, row by row: one compact Parquet file.

A row of the file is a row of the test set: a sentence, a pair, or for ranking one row of a query. Its columns:

=============  =====================================  ==================================================================
``document``   int32                                  what one score is given for, from 0: the row, or the row's query
``row``        int32                                  place in the test set, from 0
``label``      string, or list of string (tagging)    gold class, by its name in `xglue_harness.benchmark`
``prediction`` as ``label``                           predicted class
``scores``     list of float32, or null               see `ScoreKind`; one a class, or for tagging one a word
=============  =====================================  ==================================================================

The schema's metadata hold the rest (`Header`) as JSON under ``xglue_harness``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from xglue_harness.benchmark import TASKS, Kind, TaskSpec
from xglue_harness.data.cache import cache_root, replacing, unwritable
from xglue_harness.data.seal import DamagedFileError
from xglue_harness.errors import DataError

_KEY = b"xglue_harness"
_COLUMNS = ("document", "row", "label", "prediction", "scores")

ScoreKind = Literal["log_probability", "log_likelihood"]
"""What scores are: natural logarithms of the classes' probabilities (for tagging: of the predicted class alone), or of
the likelihood that a language model gives to each class's words."""


class Header(BaseModel):
    """What holds for all rows of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    task: str
    language: str
    split: Literal["dev", "test"] = "test"
    protocol: Literal["finetune", "prompt"]
    scores: ScoreKind | None
    rows: int
    """Rows of the whole test set; a run with ``--limit`` predicts fewer."""


@dataclass(frozen=True)
class RowPredictions:
    """Predictions of one task and language.

    Attributes:
        header: what holds for all rows.
        documents: document of each row, ascending.
        rows: place of each row in the test set, ascending.
        labels: gold class ids: an int a row, or a list of them (tagging).
        predictions: predicted class ids, as ``labels``.
        scores: floats for each row, as `ScoreKind` says; ``None`` where there are none.
    """

    header: Header
    documents: Sequence[int]
    rows: Sequence[int]
    labels: Sequence[Any]
    predictions: Sequence[Any]
    scores: Sequence[Sequence[float]] | None

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return TASKS[self.header.task]

    @property
    def complete(self) -> bool:
        """Whether every row of the test set is there."""
        return len(self.rows) == self.header.rows


def keep(predictions: RowPredictions) -> str:
    """Write predictions into the cache, under their content.

    Returns:
        sha256 (hex) of the file.

    Raises:
        DataError: where the cache can't be written.
    """
    data = encoded(predictions)
    digest = hashlib.sha256(data).hexdigest()
    path = kept(digest)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return digest


def kept(sha256: str) -> Path:
    """Where `keep` puts predictions of that hash."""
    return cache_root() / "predictions" / f"{sha256}.parquet"


def copy_kept(sha256: str, path: Path) -> None:
    """Copy predictions from the cache, whole or not at all.

    Raises:
        OSError: where they are not in the cache, or ``path`` can't be written.
        DamagedFileError: where they are not those that were kept.
    """
    data = _checked(kept(sha256))
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def damage_of_kept(path: Path) -> str | None:
    """What is wrong with a file that `keep` wrote; ``None`` for a sound one."""
    try:
        _checked(path)
    except (DamagedFileError, OSError) as error:
        return str(error)
    return None


def _checked(path: Path) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise DamagedFileError(f"{path.name} is damaged: its checksum is not its name")
    return data


def encoded(predictions: RowPredictions) -> bytes:
    """The bytes of the Parquet file; equal predictions give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec = predictions.spec
    text = pa.list_(pa.string()) if spec.kind is Kind.TAGGING else pa.string()
    schema = pa.schema(
        [
            ("document", pa.int32()),
            ("row", pa.int32()),
            ("label", text),
            ("prediction", text),
            ("scores", pa.list_(pa.float32())),
        ],
        metadata={_KEY: predictions.header.model_dump_json().encode()},
    )
    scores = [None] * len(predictions.rows) if predictions.scores is None else list(predictions.scores)
    columns = [
        pa.array(predictions.documents, pa.int32()),
        pa.array(predictions.rows, pa.int32()),
        pa.array([_named(spec, label) for label in predictions.labels], text),
        pa.array([_named(spec, label) for label in predictions.predictions], text),
        pa.array(scores, pa.list_(pa.float32())),
    ]
    sink = pa.BufferOutputStream()
    places = dict.fromkeys(("document", "row"), "DELTA_BINARY_PACKED")  # they ascend: a ninth of the size
    element = ".list.element" * (spec.kind is Kind.TAGGING)
    words = [f"label{element}", f"prediction{element}"]
    pq.write_table(
        pa.table(columns, schema=schema), sink, compression="zstd", use_dictionary=words, column_encoding=places
    )
    return bytes(sink.getvalue().to_pybytes())


def read(path: Path) -> RowPredictions:
    """Read a file of predictions.

    Raises:
        DataError: where it is missing, damaged, or no such file, or holds labels that the task does not have.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: can't be read as Parquet: {error}") from error
    try:
        header = Header.model_validate_json((table.schema.metadata or {}).get(_KEY, b""))
    except ValidationError as error:
        raise DataError(f"{path}: no predictions of xglue-harness: {error.errors()[0]['msg']}") from None
    if header.task not in TASKS or header.language not in TASKS[header.task].languages:
        raise DataError(f"{path}: predictions of {header.task} in {header.language}, which XGLUE does not have")
    spec = TASKS[header.task]
    numbers = {name: number for number, name in enumerate(spec.labels)}
    try:
        columns = {name: table.column(name).to_pylist() for name in _COLUMNS}
        labels, predicted = ([_numbered(numbers, value) for value in columns[name]] for name in ("label", "prediction"))
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: no column, or no class of {spec.title}: {error}") from None
    scores = None if header.scores is None else columns["scores"]
    return RowPredictions(header, columns["document"], columns["row"], labels, predicted, scores)


def _named(spec: TaskSpec, value: Any) -> Any:
    return [spec.labels[item] for item in value] if isinstance(value, list) else spec.labels[value]


def _numbered(numbers: dict[str, int], value: Any) -> Any:
    return [numbers[item] for item in value] if isinstance(value, list) else numbers[value]
