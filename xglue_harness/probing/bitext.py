"""Bitext mining: is a sentence's translation its nearest neighbour among all sentences of another language?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.data.source import fingerprint
from xglue_harness.errors import DataError
from xglue_harness.probing.probes import bitext_scores, nearest

if TYPE_CHECKING:
    from xglue_harness.data import Source
    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.probing.probes import Ints
    from xglue_harness.probing.states import Part


@dataclass(frozen=True)
class ParallelTexts:
    """Sentences that are translations of each other, line by line.

    Attributes:
        name: of the collection.
        by_language: each language's sentences; all as many.
        fingerprint: sha256 (hex) over their files.
    """

    name: str
    by_language: Mapping[str, Sequence[str]]
    fingerprint: str


@dataclass(frozen=True)
class BitextScore:
    """One direction in one layer.

    Attributes:
        source: language of the sentences whose translations are sought.
        target: language of those among which they are.
        layer: of the encoder.
        found: ``[sentences]``, the place of the nearest one.
        scores: ``f1`` (mteb's), ``accuracy``, ``precision``, ``recall``.
    """

    source: str
    target: str
    layer: int
    found: Ints
    scores: Mapping[str, float]

    @property
    def pair(self) -> str:
        """Both languages, as mteb names a subset."""
        return f"{self.source}-{self.target}"


@dataclass(frozen=True)
class BitextProbe:
    """Parallel sentences, tokenised.

    Attributes:
        texts: the sentences.
        states: of each language.
    """

    texts: ParallelTexts
    states: Mapping[str, Part]

    @classmethod
    def of(cls, encoder: FrozenEncoder, texts: ParallelTexts) -> BitextProbe:
        """Tokenise; nothing is computed."""
        named = texts.by_language.items()
        return cls(texts, {name: encoder.texts(lines, name, f"{texts.name} {name}") for name, lines in named})

    def score(self, layer: int) -> list[BitextScore]:
        """Every language against English, both ways, in a layer whose states are on disk."""
        vectors = {language: part.states(layer) for language, part in self.states.items()}
        scores = []
        for source, target in directions(list(self.states)):
            found = nearest(vectors[source], vectors[target])
            scores.append(BitextScore(source, target, layer, found, bitext_scores(found)))
        return scores


def directions(languages: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of languages that are mined: each with English, both ways; with the first, where English is none."""
    pivot = SOURCE_LANGUAGE if SOURCE_LANGUAGE in languages else languages[0]
    others = [language for language in languages if language != pivot]
    return [pair for other in others for pair in ((other, pivot), (pivot, other))]


def xnli_premises(source: Source, languages: Sequence[str] | None = None) -> ParallelTexts:
    """The premises of XNLI's test sets, each once (every premise has three hypotheses).

    Args:
        source: of the data.
        languages: those wanted; ``None``: all that there are.

    Raises:
        DataError: where there are fewer than two languages, or their test sets differ in length.
    """
    spec = TASKS["xnli"]
    there = [name for name in source.available(spec) if languages is None or name in languages]
    if len(there) < 2:
        raise DataError(f"bitext mining needs XNLI's test set in two languages; there are {', '.join(there) or 'none'}")
    loaded = {language: source.load(spec, "test", language) for language in there}
    premises = {language: split.dataset["premise"][:] for language, split in loaded.items()}
    if len({len(lines) for lines in premises.values()}) > 1:
        sizes = {language: len(lines) for language, lines in premises.items()}
        raise DataError(f"XNLI's test sets are no translations of each other, row by row: they have {sizes} rows")
    pivot = premises[SOURCE_LANGUAGE if SOURCE_LANGUAGE in there else there[0]]
    first = {text: row for row, text in reversed([*enumerate(pivot)])}
    rows = sorted(first.values())
    files = {path: digest for split in loaded.values() for path, digest in split.files.items()}
    chosen = {language: [lines[row] for row in rows] for language, lines in premises.items()}
    return ParallelTexts("XNLI premises", chosen, fingerprint(files))
