"""What the shape of a task decides. Everything else in the package asks here instead of knowing the shapes.

A *row* is what an encoder reads and predicts. A *document* is what gets one score: a row, or all rows of a query.

To add a shape: name it in `xglue_harness.benchmark.Kind`, write a subclass of `TaskKind` in a file of its own beside
this one, and register it in `xglue_harness.kinds.KINDS`. The defaults describe a row of one or two texts with one
class, which is a document of its own; a shape overrides what it does not share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from xglue_harness import metrics
from xglue_harness.benchmark import TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.metrics import Ratio
    from xglue_harness.official_metrics import Official, Rule

Prediction: TypeAlias = int | list[int]
"""Predicted class of a document: of its row, of each of its words, or of each row of a query."""


@dataclass(frozen=True)
class TaskKind(ABC):
    """A task, seen as its shape demands.

    Attributes:
        spec: the task.
        per_word: every word of a row has a class of its own. Decides the head (a class a word or a class a text), how
            rows are tokenised (words in windows or whole texts), and how official files are laid out (a word a line, a
            blank line after each sentence; or a row a line).
        several_rows: a document may be several rows, which are predicted one by one and scored together.
        plain_mean: the score is the plain mean over all documents, whose standard error lm-eval computes itself.
        asks: what a language model is prompted for: the likeliest class, a grade for each row, or a text with tags.
        official_rule: what XGLUE's own evaluator scores by.
    """

    spec: TaskSpec

    per_word: ClassVar[bool] = False
    several_rows: ClassVar[bool] = False
    plain_mean: ClassVar[bool] = False
    asks: ClassVar[Literal["choice", "grades", "tags"]]
    official_rule: ClassVar[Rule]

    # ---------------------------------------------------------------- documents and rows

    def rows_of_documents(self, dataset: Dataset) -> list[range]:
        """The rows of each document of a data set, by their numbers."""
        return [range(row, row + 1) for row in range(len(dataset))]

    def documents(self, dataset: Dataset) -> Dataset:
        """A data set with one row a document: where those are several rows, lists of their columns."""
        return dataset

    def rows_of(self, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The rows of a document, each as the encoder reads it."""
        yield document

    def is_row(self, document: Mapping[str, Any]) -> bool:
        """Whether this is a single row, as few-shot examples are, and not several in one document."""
        return True

    def grouped(self, documents: Sequence[int], values: Sequence[Any]) -> list[Any]:
        """Values of rows (gold labels, predictions) as values of documents.

        Args:
            documents: number of each row's document, ``[rows]``.
            values: ``[rows]``.

        Returns:
            One value a document, in the order in which they first occur: for several rows a list.
        """
        return [*values]

    def by_row(self, value: Any) -> list[Any]:
        """The values of a document's rows: what `grouped` has put together."""
        return [value]

    def is_scored(self, gold: Any) -> bool:
        """Whether a document counts for the score.

        Args:
            gold: its gold label; for several rows anything that has their number as its length.
        """
        return True

    def left_out(self, documents: Iterable[Any]) -> int | None:
        """Number of documents that count for no score; ``None`` where the shape knows none.

        Args:
            documents: of each what `is_scored` takes.
        """
        return None

    # ---------------------------------------------------------------- labels

    def label_count(self, label: Any) -> int:
        """Number of classes in a row's label."""
        return 1

    @property
    def unit(self) -> str:
        """What `instances` are, in the plural."""
        return "rows"

    def instances(self, label: Any) -> list[tuple[Any, str]]:
        """What in a row's label is right or wrong by itself: its place and its class.

        Args:
            label: class of the row, or those of its words.
        """
        return [(0, self.spec.labels[label])]

    def column_type(self, value: Any, name: str = "item") -> Any:
        """Arrow's type of a column of labels, or of texts that have one each.

        Args:
            value: type of a single label or text.
            name: how a list calls its elements, where the column holds lists.
        """
        return value

    def official_lines(self, predicted: Any, spellings: Sequence[str]) -> list[str]:
        """The lines of a row in XGLUE's prediction files.

        Args:
            predicted: its class, or those of its words.
            spellings: each class as official files spell it.
        """
        return [spellings[predicted]]

    # ---------------------------------------------------------------- texts

    def text(self, document: Mapping[str, Any]) -> str:
        """A document as a human reads it."""
        return "\n".join(joined(document, names) for names in (self.spec.text_a, self.spec.text_b) if names)

    def row_text(self, row: Mapping[str, Any]) -> str:
        """All texts of a row as one."""
        return joined(row, (*self.spec.text_a, *self.spec.text_b))

    def filled_row(self, text: str) -> dict[str, Any]:
        """A row whose texts are all ``text``, and whose label is the first class."""
        return {**dict.fromkeys(self.spec.columns, text), self.spec.label_column: 0}

    # ---------------------------------------------------------------- scores

    @abstractmethod
    def document_score(self, gold: Any, predicted: Any) -> float | Ratio | None:
        """Score one document.

        Args:
            gold: its class, those of its words, or the grades of its rows.
            predicted: the same of the prediction.

        Returns:
            A number from 0 to 1, or the (numerator, denominator) of a ratio; ``None`` where `is_scored` says no.
        """

    def score(self, items: Sequence[Any]) -> float:
        """A language's score from those of its documents (`document_score`); ``None`` is left out.

        Raises:
            ValueError: no document counts.
        """
        return metrics.mean(counted(items))

    def stderr(self, items: Sequence[Any]) -> float | None:
        """Standard error of `score` over documents, taken for independent; ``None`` where it is not defined.

        Raises:
            ValueError: no document counts.
        """
        return defined(metrics.mean_stderr(counted(items)))

    @abstractmethod
    def official(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Official:
        """Score a language as XGLUE's own evaluator does; see `xglue_harness.official_metrics`.

        Args:
            gold: of each document as for `document_score`.
            predicted: the same of the predictions.

        Raises:
            ValueError: no document counts, or the two differ in length.
        """


def joined(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Columns of a row as `one_text`."""
    return one_text(row[column] for column in columns)


def one_text(parts: Iterable[str]) -> str:
    """Texts with a blank between; empty ones leave none."""
    return " ".join(filter(None, parts))


def counted(items: Sequence[Any]) -> list[Any]:
    """The scores of documents that count."""
    return [item for item in items if item is not None]


def defined(stderr: float) -> float | None:
    """``None`` for a standard error that is not defined: NaN is no JSON."""
    return None if isnan(stderr) else stderr
