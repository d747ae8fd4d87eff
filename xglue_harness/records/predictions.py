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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of

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
    protocol: Literal["finetune", "prompt", "probe"]
    scores: ScoreKind | None
    rows: Annotated[int, Field(ge=0, le=2**53)]
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


def encoded(predictions: RowPredictions) -> bytes:
    """The bytes of the Parquet file; equal predictions give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec = predictions.spec
    kind = kind_of(spec)
    text = kind.column_type(pa.string())
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
    element = ".list.element" * kind.per_word
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read as Parquet: {error.strerror}") from error
    return decoded(data, path)


def opened(data: bytes, where: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile`` of some bytes, of which no more than the footer has been read.

    Args:
        data: the file.
        where: its path, for the message.

    Raises:
        DataError: where the bytes are not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = {"thrift_string_size_limit": 1_000_000, "thrift_container_size_limit": 10_000}
    try:
        columns = pq.ParquetFile(pa.BufferReader(data), **limits).metadata.schema
        # Texts stay references to a dictionary: one long text that 200,000 rows refer to would take gigabytes.
        texts = [column.path for column in columns if column.path.partition(".")[0] in ("label", "prediction")]
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts, **limits)
        file.schema_arrow  # noqa: B018 (which reads a schema of Arrow's own in the footer)
        return file
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{where}: can't be read as Parquet: {error}") from error


def decoded(data: bytes, where: Path) -> RowPredictions:
    """The predictions in the bytes of a file.

    Args:
        data: the file.
        where: its path, for the message.

    Raises:
        DataError: where it is damaged or no such file, or holds labels that the task does not have.
    """
    import pyarrow as pa

    file = opened(data, where)
    try:
        header = Header.model_validate_json(metadata_of(file))
    except ValidationError as error:
        raise DataError(f"{where}: no predictions of xglue-harness: {error.errors()[0]['msg']}") from None
    if header.task not in TASKS or header.language not in TASKS[header.task].languages:
        raise DataError(
            f"{where}: predictions of {header.task[:40]} in {header.language[:40]}, which XGLUE does not have"
        )
    spec = TASKS[header.task]
    text = kind_of(spec).column_type(pa.dictionary(pa.int32(), pa.string()), "element")
    types = {"document": pa.int32(), "row": pa.int32(), "label": text, "prediction": text}
    types_there = {field.name: field.type for field in file.schema_arrow}
    try:
        for name, kind in {**types, "scores": pa.list_(pa.field("element", pa.float32()))}.items():
            if name not in types_there:
                raise KeyError(f'Field "{name}" does not exist')
            if types_there[name] != kind:
                raise ValueError(f"{name} is {str(types_there[name])[:80]}; expected {kind}")
        if len(file.schema_arrow) != len(_COLUMNS):
            raise ValueError(f"{len(file.schema_arrow)} columns; expected {', '.join(_COLUMNS)}")
        table = file.read(columns=list(_COLUMNS if header.scores else types), use_threads=False)
        table.validate(full=True)  # references beyond a dictionary, lists beyond their values, texts that are none
        if empty := [name for name in types if table.column(name).null_count]:
            raise ValueError(f"{empty[0]}: a row has none")
        labels, predicted = (_classes(spec, table.column(name)) for name in ("label", "prediction"))
        documents, rows = (table.column(name).to_pylist() for name in ("document", "row"))
        scores = table.column("scores").to_pylist() if header.scores else None
    except (KeyError, ValueError) as error:
        raise DataError(f"{where}: no column, or no class of {spec.title}: {str(error)[:200]}") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{where}: can't be read as Parquet: {error}") from error
    return RowPredictions(header, documents, rows, labels, predicted, scores)


def metadata_of(file: Any) -> bytes:
    """The JSON of the `Header` in an `opened` file; empty where there is none."""
    return bytes((file.schema_arrow.metadata or {}).get(_KEY, b""))


def _classes(spec: TaskSpec, column: Any) -> list[Any]:
    """Class ids of a column of names: one a row, or a list of them (tagging).

    Raises:
        KeyError: for a name that is no class of the task.
    """
    import numpy as np

    per_word = kind_of(spec).per_word
    numbers = {name: number for number, name in enumerate(spec.labels)}
    classes: list[Any] = []
    for chunk in column.chunks:
        words = chunk.flatten() if per_word else chunk
        if words.null_count:
            raise KeyError(None)
        known = [numbers.get(name.as_py()) for name in words.dictionary]
        places = np.asarray(words.indices)
        if None in known and (strange := [place for place in {*places.tolist()} if known[place] is None]):
            raise KeyError(words.dictionary[strange[0]].as_py()[:80])
        ids = np.array([-1 if number is None else number for number in known], dtype=np.int64)[places].tolist()
        if per_word:
            ends = np.cumsum(np.asarray(chunk.value_lengths()), dtype=np.int64).tolist()
            ids = [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        classes += ids
    return classes


def _named(spec: TaskSpec, value: Any) -> Any:
    return [spec.labels[item] for item in value] if isinstance(value, list) else spec.labels[value]
