"""Bitext mining as a task of mteb. Needs ``xglue-harness[mteb]``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mteb.abstasks import AbsTaskBitextMining
from mteb.abstasks.task_metadata import TaskMetadata

from xglue_harness.probing.bitext import BitextScore, ParallelTexts, directions
from xglue_harness.probing.probes import bitext_scores, nearest
from xglue_harness.probing.tasks import encoded, script_code

if TYPE_CHECKING:
    from xglue_harness.probing.probes import Floats


class FrozenBitext(AbsTaskBitextMining):
    """Parallel sentences, mined between English and each other language, both ways."""

    def __init__(self, texts: ParallelTexts) -> None:
        """The sentences are at hand.

        Args:
            texts: by language.
        """
        self.texts = texts
        pairs = directions(list(texts.by_language))
        digits = hashlib.sha256(texts.fingerprint.encode()).hexdigest()[:8]
        self.metadata = TaskMetadata(
            name=f"XGLUE-frozen-{texts.name.replace(' ', '-')}-{digits}",
            description=f"{texts.name}: each sentence's translation is to be its nearest neighbour.",
            dataset={"path": "xglue/parallel", "revision": texts.fingerprint},
            type="BitextMining",
            category="t2t",
            eval_splits=["test"],
            eval_langs={f"{a}-{b}": [script_code(a), script_code(b)] for a, b in pairs},
            main_score="f1",
        )
        super().__init__()

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        """There is nothing to load."""
        self.data_loaded = True

    def unload_data(self) -> None:
        """The sentences stay; mteb's own would forget which they are."""
        self.data_loaded = False

    def evaluate(
        self,
        model: Any,
        split: str = "test",
        subsets_to_run: Sequence[str] | None = None,
        *,
        encode_kwargs: Mapping[str, Any],
        **_: Any,
    ) -> dict[str, dict[str, Any]]:
        """Scores of each direction; each language is read once for all of them."""
        wanted = [name for name in self.hf_subsets if subsets_to_run is None or name in subsets_to_run]
        vectors: dict[str, Floats] = {}
        scores = {}
        for pair in wanted:
            source, target = pair.split("-")
            for language in (source, target):
                if language not in vectors:
                    lines = self.texts.by_language[language]
                    vectors[language] = encoded(model, self.metadata, lines, language, split, pair, encode_kwargs)
            found = nearest(vectors[source], vectors[target])
            scores[pair] = self.scores(BitextScore(source, target, -1, found, bitext_scores(found)))
        return scores

    def scores(self, one: BitextScore) -> dict[str, Any]:
        """Mteb's metrics of a direction."""
        gold = [(row, row) for row in range(len(one.found))]
        metrics = dict(self._compute_metrics([{"corpus_id": int(place)} for place in one.found], gold))
        return {**metrics, "main_score": metrics["f1"]}
