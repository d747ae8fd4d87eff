"""A sequence of words, one class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xglue_harness import metrics
from xglue_harness.kinds.base import TaskKind, counted, defined
from xglue_harness.metrics import Ratio
from xglue_harness.official_metrics import SEQEVAL_0, SEQEVAL_1, Official, entity_f1, tag_precision


class Tagging(TaskKind):
    """NER, scored by micro F1 over entities, and POS, by accuracy over words: ratios of sums over sentences."""

    per_word = True
    asks = "tags"
    official_rule = SEQEVAL_0

    @property
    def _words(self) -> str:
        """The column with the words."""
        return self.spec.text_a[0]

    def label_count(self, label: Any) -> int:
        """Number of words."""
        return len(label)

    @property
    def unit(self) -> str:
        """Words, or entities."""
        return "words" if self.spec.metric == "acc" else "entities"

    def instances(self, label: Any) -> list[tuple[Any, str]]:
        """Words by their number, or entities by their first and last word."""
        names = self._names(label)
        if self.spec.metric == "acc":
            return [*enumerate(names)]
        return [((start, end), name) for name, start, end in sorted(metrics.entities(names), key=lambda one: one[1])]

    def column_type(self, value: Any, name: str = "item") -> Any:
        """A list, with an element a word."""
        import pyarrow as pa

        return pa.list_(pa.field(name, value))

    def official_lines(self, predicted: Any, spellings: Sequence[str]) -> list[str]:
        """A line a word, and a blank one after the sentence."""
        return [*(spellings[label] for label in predicted), ""]

    def text(self, document: Mapping[str, Any]) -> str:
        """The words with blanks between."""
        return self.row_text(document)

    def row_text(self, row: Mapping[str, Any]) -> str:
        """The words with blanks between."""
        return " ".join(row[self._words])

    def filled_row(self, text: str) -> dict[str, Any]:
        """A sentence of one word."""
        return {self._words: [text], self.spec.label_column: [0]}

    def document_score(self, gold: Any, predicted: Any) -> Ratio:
        """Right words, or entities, of a sentence, and what they are divided by."""
        if self.spec.metric == "acc":
            return metrics.accuracy_counts(gold, predicted)
        return metrics.entity_counts(self._names(gold), self._names(predicted))

    def score(self, items: Sequence[Any]) -> float:
        """The ratio of the sums."""
        return metrics.ratio(counted(items))

    def stderr(self, items: Sequence[Any]) -> float | None:
        """That of the ratio of the sums."""
        return defined(metrics.ratio_stderr(counted(items)))

    def official(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Official:
        """Seqeval's F1 of entities, or its precision of tags, by the rules of both its versions."""
        score = entity_f1 if self.spec.metric == "f1" else tag_precision
        g, p = ([self._names(classes) for classes in sentences] for sentences in (gold, predicted))
        return Official(score(g, p), score(g, p, SEQEVAL_1), SEQEVAL_0)

    def _names(self, classes: Sequence[int]) -> list[str]:
        return [self.spec.labels[number] for number in classes]
