"""The one table: the eight XGLUE understanding tasks.

Every other part of the harness reads this module: readers, YAML generator, heads, metrics, documentation. Field names,
label order, languages and file names are those of the official archive (Liang et al. 2020, arXiv:2004.01401); the
learning rates are those of Ji et al. 2024 (arXiv:2403.16777, section 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

SOURCE_LANGUAGE = "en"
"""The language that every encoder is fine-tuned on."""

SPLITS = ("train", "dev", "test")


class Kind(str, Enum):
    """The shape of an example; what it decides stands in `xglue_harness.kinds`."""

    SINGLE = "single"
    """One text, one class (NC: title and body are joined)."""
    PAIR = "pair"
    """Two texts, one class."""
    RANKING = "ranking"
    """Two texts, one grade; rows of a query are ranked by their predicted grade."""
    TAGGING = "tagging"
    """A sequence of words, one class each."""


@dataclass(frozen=True)
class TaskSpec:
    """One XGLUE task.

    Attributes:
        name: short name, as in ``xglue_<name>_zs``.
        title: name as the paper prints it.
        kind: shape of an example.
        folder: folder in the official archive.
        columns: columns of a row in a file, in order; for tagging, ``(words, labels)``. The label is always the last.
        text_a: columns that make up the first text, joined by a blank.
        text_b: columns that make up the second text (empty for one text).
        labels: classes in the official order; a label's index is the class id.
        aliases: other spellings of a label in the official files.
        languages: languages with a test set, the source language among them.
        metric: name of the metric in lm-eval's table.
        patterns: file names below ``folder`` of train, dev and test; ``{lang}`` is the language.
        header: splits whose files begin with a header line.
        skipped_columns: leading columns of a file that are no field (PAWS-X's id).
        learning_rate: peak learning rate of the default recipe.
        parallel: the test sets are translations of each other, row by row.
    """

    name: str
    title: str
    kind: Kind
    folder: str
    columns: tuple[str, ...]
    text_a: tuple[str, ...]
    text_b: tuple[str, ...]
    labels: tuple[str, ...]
    languages: tuple[str, ...]
    metric: str
    patterns: tuple[str, str, str]
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    header: tuple[str, ...] = ()
    skipped_columns: int = 0
    learning_rate: float = 5e-6
    parallel: bool = False

    @property
    def label_column(self) -> str:
        """The column that holds the label (or the labels of the words)."""
        return self.columns[-1]

    @property
    def group(self) -> str:
        """The lm-eval group of the task's leaves."""
        return f"xglue_{self.name}_zs"

    def leaf(self, language: str) -> str:
        """Name of the lm-eval task that scores ``language``."""
        return f"{self.group}_{language}"

    def path(self, split: str, language: str) -> str:
        """Path of a file relative to the data folder, e.g. ``XNLI/de.test``.

        Raises:
            KeyError: for a split or a language that the task does not have.
        """
        if split not in SPLITS:
            raise KeyError(f"{self.name}: no split {split!r}; one of {', '.join(SPLITS)}")
        allowed = (SOURCE_LANGUAGE,) if split == "train" else self.languages
        if language not in allowed:
            raise KeyError(f"{self.name} {split}: no language {language!r}; one of {', '.join(allowed)}")
        return f"{self.folder}/{self.patterns[SPLITS.index(split)].format(lang=language)}"

    def files(self) -> list[tuple[str, str, str]]:
        """Every ``(split, language, path)`` of the task: train, then dev and test of each language."""
        rest = [(split, lang) for split in ("dev", "test") for lang in self.languages]
        return [(s, lang, self.path(s, lang)) for s, lang in [("train", SOURCE_LANGUAGE), *rest]]

    def label_id(self, text: str) -> int | None:
        """Class id of a label as spelt in a file; ``None`` where it is unknown."""
        text = self.aliases.get(text, text)
        return self.labels.index(text) if text in self.labels else None


def _xglue_files(name: str) -> tuple[str, str, str]:
    return (f"xglue.{name}.en.train", f"xglue.{name}.{{lang}}.dev", f"xglue.{name}.{{lang}}.test")


_BARE_FILES = ("en.train", "{lang}.dev", "{lang}.test")

_TABLE = (
    TaskSpec(
        name="nc",
        title="NC",
        kind=Kind.SINGLE,
        folder="NC",
        columns=("news_title", "news_body", "news_category"),
        text_a=("news_title", "news_body"),
        text_b=(),
        labels=(
            "foodanddrink",
            "sports",
            "travel",
            "finance",
            "lifestyle",
            "news",
            "entertainment",
            "health",
            "video",
            "autos",
        ),
        languages=("de", "en", "es", "fr", "ru"),
        metric="acc",
        patterns=_xglue_files("nc"),
    ),
    TaskSpec(
        name="xnli",
        title="XNLI",
        kind=Kind.PAIR,
        folder="XNLI",
        columns=("premise", "hypothesis", "label"),
        text_a=("premise",),
        text_b=("hypothesis",),
        labels=("entailment", "neutral", "contradiction"),
        aliases=MappingProxyType({"contradictory": "contradiction"}),
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        metric="acc",
        parallel=True,
        patterns=("multinli.train.en.tsv", "{lang}.dev", "{lang}.test"),
        header=("train",),
    ),
    TaskSpec(
        name="pawsx",
        title="PAWS-X",
        kind=Kind.PAIR,
        folder="PAWSX",
        columns=("sentence1", "sentence2", "label"),
        text_a=("sentence1",),
        text_b=("sentence2",),
        labels=("different", "same"),
        aliases=MappingProxyType({"0": "different", "1": "same"}),
        languages=("de", "en", "es", "fr"),
        metric="acc",
        parallel=True,
        patterns=("en/train.tsv", "{lang}/dev_2k.tsv", "{lang}/test_2k.tsv"),
        header=SPLITS,
        skipped_columns=1,
    ),
    TaskSpec(
        name="qam",
        title="QAM",
        kind=Kind.PAIR,
        folder="QAM",
        columns=("question", "answer", "label"),
        text_a=("question",),
        text_b=("answer",),
        labels=("False", "True"),
        aliases=MappingProxyType({"0": "False", "1": "True"}),
        languages=("de", "en", "fr"),
        metric="acc",
        patterns=_xglue_files("qam"),
    ),
    TaskSpec(
        name="qadsm",
        title="QADSM",
        kind=Kind.PAIR,
        folder="QADSM",
        columns=("query", "ad_title", "ad_description", "relevance_label"),
        text_a=("query",),
        text_b=("ad_title", "ad_description"),
        labels=("Bad", "Good"),
        languages=("de", "en", "fr"),
        metric="acc",
        patterns=_xglue_files("qadsm"),
    ),
    TaskSpec(
        name="wpr",
        title="WPR",
        kind=Kind.RANKING,
        folder="WPR",
        columns=("query", "web_page_title", "web_page_snippet", "relavance_label"),
        text_a=("query",),
        text_b=("web_page_title", "web_page_snippet"),
        labels=("Bad", "Fair", "Good", "Excellent", "Perfect"),
        aliases=MappingProxyType({"0": "Bad", "1": "Fair", "2": "Good", "3": "Excellent", "4": "Perfect"}),
        languages=("de", "en", "es", "fr", "it", "pt", "zh"),
        metric="ndcg",
        patterns=_xglue_files("wpr"),
    ),
    TaskSpec(
        name="ner",
        title="NER",
        kind=Kind.TAGGING,
        folder="NER",
        columns=("words", "ner"),
        text_a=("words",),
        text_b=(),
        labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"),
        languages=("de", "en", "es", "nl"),
        metric="f1",
        patterns=_BARE_FILES,
    ),
    TaskSpec(
        name="pos",
        title="POS",
        kind=Kind.TAGGING,
        folder="POS",
        columns=("words", "pos"),
        text_a=("words",),
        text_b=(),
        labels=(
            "ADJ",
            "ADP",
            "ADV",
            "AUX",
            "CCONJ",
            "DET",
            "INTJ",
            "NOUN",
            "NUM",
            "PART",
            "PRON",
            "PROPN",
            "PUNCT",
            "SCONJ",
            "SYM",
            "VERB",
            "X",
        ),
        languages=(
            "ar",
            "bg",
            "de",
            "el",
            "en",
            "es",
            "fr",
            "hi",
            "it",
            "nl",
            "pl",
            "pt",
            "ru",
            "th",
            "tr",
            "ur",
            "vi",
            "zh",
        ),
        metric="acc",
        learning_rate=2e-5,
        patterns=_BARE_FILES,
    ),
)

TASKS: Mapping[str, TaskSpec] = MappingProxyType({spec.name: spec for spec in _TABLE})
"""The eight tasks by short name, in the order of the paper's Table 1."""

LANGUAGES: tuple[str, ...] = tuple(sorted({lang for spec in _TABLE for lang in spec.languages}))
"""The 19 languages."""

TEXTS = TaskSpec(
    name="texts",
    title="texts",
    kind=Kind.SINGLE,
    folder="",
    columns=("text", "label"),
    text_a=("text",),
    text_b=(),
    labels=("",),
    languages=(),
    metric="acc",
    patterns=("", "", ""),
)
"""Texts of no task, one by one, read as rows of a task are."""

ALL_GROUP = "xglue_zs"
"""The lm-eval group of all eight tasks."""


def task(name: str) -> TaskSpec:
    """Look a task up by its short name.

    Raises:
        KeyError: naming the tasks there are.
    """
    if name not in TASKS:
        raise KeyError(f"no XGLUE task {name!r}; one of {', '.join(TASKS)}")
    return TASKS[name]
