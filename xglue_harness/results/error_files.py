"""Errors as files: a page for people, and tables for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xglue_harness.atomic import replacing
from xglue_harness.results.errors import Breakdown, Disagreement


@dataclass(frozen=True)
class Sample:
    """Rows on which two sets of runs differ.

    Attributes:
        a: what the first is called.
        b: what the second is called.
        count: most rows of a language.
        rows: the rows.
    """

    a: str
    b: str
    count: int
    rows: Sequence[Disagreement]


def write(found: Sequence[Breakdown], sample: Sample | None, folder: Path) -> Iterator[Path]:
    """Write ``errors.html``, and its tables as CSV.

    Args:
        found: errors of each run.
        sample: rows on which two differ; ``None``: no two were compared.
        folder: where the files go; it is made.

    Yields:
        The path of each file, once it is written.

    Raises:
        OSError: where it can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "errors.html": page(found, sample),
        "errors_classes.csv": as_csv(class_rows(found)),
        "errors_confusion.csv": as_csv(confusion_rows(found)),
    }
    if sample is not None:
        texts["errors_disagreements.csv"] = as_csv(disagreement_rows(sample.rows))
    for name, text in texts.items():
        path = folder / name
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
        yield path


def page(found: Sequence[Breakdown], sample: Sample | None) -> str:
    """The page, with every text escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("errors.html").read_text(encoding="utf-8"))
    tasks: dict[str, list[Breakdown]] = {}
    for item in found:
        tasks.setdefault(item.run.spec.title, []).append(item)
    remarks = []
    if any(item.run.sample for item in found):
        remarks.append("SAMPLE data: a toy; these numbers mean nothing.")
    if any(item.run.unofficial for item in found):
        remarks.append("UNOFFICIAL data: numbers do not compare with those on XGLUE.")
    facts = {} if sample is None else {"a": sample.a, "b": sample.b, "count": sample.count}
    return template.render(tasks=tasks, remarks=remarks, differing=None if sample is None else sample.rows, **facts)


def class_rows(found: Iterable[Breakdown]) -> Iterator[dict[str, Any]]:
    """A row for each run and class."""
    for item in found:
        for one in item.classes:
            yield {**_facts(item), "unit": item.unit, "class": one.name, **_without_name(asdict(one))}


def confusion_rows(found: Iterable[Breakdown]) -> Iterator[dict[str, Any]]:
    """A row for each run, gold label and predicted label that occur together."""
    for item in found:
        for gold, counts in zip(item.labels, item.confusion, strict=True):
            for predicted, count in zip(item.labels, counts, strict=True):
                if count:
                    yield {**_facts(item), "gold": gold, "predicted": predicted, "count": count}


def disagreement_rows(rows: Iterable[Disagreement]) -> Iterator[dict[str, Any]]:
    """A row for each row on which two runs differ; tags and words with blanks between."""
    for item in rows:
        text = item.text if item.text is None or isinstance(item.text, str) else " ".join(item.text)
        told = {"gold": " ".join(item.gold), "a": " ".join(item.a), "b": " ".join(item.b)}
        yield {"task": item.task, "language": item.language, "row": item.row, **told, "text": text or ""}


def _facts(item: Breakdown) -> dict[str, Any]:
    return {"run": item.title, "task": item.run.task, "language": item.run.language}


def _without_name(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != "name"}


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a head; nothing for no rows."""
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, [*row], lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return text.getvalue()
