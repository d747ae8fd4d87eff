"""XGLUE's tasks as tasks of mteb, and the benchmark ``XGLUE (frozen)``. Needs ``xglue-harness[mteb]``.

Each gives mteb's own metrics of its type, and beside them XGLUE's (``xglue_acc``, ``xglue_f1``, ``xglue_ndcg``), which
is what the rest of this package scores by. A task's name ends in digits of its data and of its probe, and its revision
is all of both: mteb finds complete results again by name alone, and must not find those of other data.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import mteb
import numpy as np
from mteb.abstasks import AbsTask, AbsTaskClassification, AbsTaskPairClassification, AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from sklearn.metrics.pairwise import paired_euclidean_distances, paired_manhattan_distances

from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS, Kind, TaskSpec
from xglue_harness.data import Source, fingerprint, open_source
from xglue_harness.encoders.languages import NLLB_CODES
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of
from xglue_harness.probing.recipe import ProbeRecipe, probe_recipe
from xglue_harness.probing.scores import Rows, Scored, fitted, judged
from xglue_harness.probing.training_rows import drawn_rows

if TYPE_CHECKING:
    from xglue_harness.probing.probes import Classifier, Floats

BENCHMARK = "XGLUE (frozen)"
_PAPER = "https://arxiv.org/abs/2004.01401"


class FrozenTask(AbsTask):
    """A task of XGLUE, probed on frozen vectors: fitted on English, scored in each language."""

    dataset: Any
    mteb_type: ClassVar[str]
    mteb_score: ClassVar[str] = ""
    mteb_category: ClassVar[str] = "t2c"

    def __init__(self, spec: TaskSpec, source: Source, recipe: ProbeRecipe, languages: Sequence[str]) -> None:
        """Find out which data it is; rows are read when they are wanted.

        Args:
            spec: the task.
            source: of the data.
            recipe: of the probe.
            languages: that are scored.
        """
        self.spec, self.source, self.recipe = spec, source, recipe
        self._fitted: tuple[Any, Classifier] | None = None
        revision, digits = data_revision(spec, source, recipe)
        self.metadata = TaskMetadata(
            name=f"XGLUE-frozen-{spec.title}-{digits}",
            description=f"XGLUE's {spec.title}, frozen: a probe fitted on English, scored in every language.",
            reference=_PAPER,
            dataset={"path": f"xglue/{spec.folder}", "revision": revision},
            type=self.mteb_type,
            category=self.mteb_category,
            eval_splits=["test"],
            eval_langs={language: [script_code(language)] for language in languages},
            main_score=self.mteb_score or f"xglue_{spec.metric}",
        )
        super().__init__(seed=recipe.seed)

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        """Read the test sets, and the English training rows that the probe is fitted on."""
        kind = kind_of(self.spec)
        tests = {name: self.source.load(self.spec, "test", name).dataset for name in self.hf_subsets}
        self.dataset = {name: {"test": Rows.of(self.spec, kind.documents(rows))} for name, rows in tests.items()}
        self.train = drawn_rows(self.spec, self.source.load(self.spec, "train", SOURCE_LANGUAGE).dataset, self.recipe)
        self.data_loaded = True

    def unload_data(self) -> None:
        """Forget the rows; mteb's own would forget which data they are as well."""
        self.dataset, self._fitted, self.data_loaded = None, None, False

    def evaluate(
        self,
        model: Any,
        split: str = "test",
        subsets_to_run: Sequence[str] | None = None,
        *,
        encode_kwargs: Mapping[str, Any],
        **_: Any,
    ) -> dict[str, dict[str, Any]]:
        """Scores of each language; English is read once for all of them."""
        if not self.data_loaded:
            self.load_data()
        wanted = [name for name in self.hf_subsets if subsets_to_run is None or name in subsets_to_run]
        return {
            language: self._evaluate_subset(
                model, self.dataset[language][split], hf_split=split, hf_subset=language, encode_kwargs=encode_kwargs
            )
            for language in wanted
        }

    def _evaluate_subset(
        self, model: Any, data_split: Rows, *, hf_split: str, hf_subset: str, encode_kwargs: Any, **_: Any
    ) -> dict[str, Any]:
        def vectors(rows: Rows, language: str, split: str) -> Floats:
            return self._vectors(model, rows, language, split, hf_subset, encode_kwargs)

        if self._fitted is None or self._fitted[0] is not model:
            english = vectors(self.train, SOURCE_LANGUAGE, "train")
            self._fitted = model, fitted(self.recipe, self.train, english, self.metadata.name)
        found = vectors(data_split, hf_subset, hf_split)
        return self.scores(data_split, judged(self.recipe, self._fitted[1], data_split, found), found)

    def scores(self, rows: Rows, found: Scored, vectors: Floats) -> dict[str, Any]:
        """Mteb's metrics and XGLUE's.

        Args:
            rows: of a language.
            found: what the probe predicts of them.
            vectors: that it was predicted from.
        """
        scores = {**self._mteb_scores(rows, found, vectors), f"xglue_{self.spec.metric}": found.score}
        scores["main_score"] = scores[self.metadata.main_score]
        return scores

    def _mteb_scores(self, rows: Rows, found: Scored, vectors: Floats) -> dict[str, Any]:
        raise NotImplementedError

    def _vectors(self, model: Any, rows: Rows, language: str, split: str, subset: str, ways: Any) -> Floats:
        return encoded(model, self.metadata, rows.texts, language, split, subset, ways)

    def _calculate_descriptive_statistics_from_split(self, split: str, **_: Any) -> Any:
        raise NotImplementedError("statistics of the data: xglue-harness data check")


class FrozenClassification(FrozenTask, AbsTaskClassification):
    """NC and XNLI: a logistic regression on English training rows, all or as many as the recipe takes."""

    mteb_type, mteb_score = "Classification", "accuracy"

    def _mteb_scores(self, rows: Rows, found: Scored, vectors: Floats) -> dict[str, Any]:
        from sklearn.exceptions import UndefinedMetricWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)  # of classes that are never predicted
            return dict(self._calculate_avg_scores([self._calculate_scores(rows.gold, found.predicted)]))


class FrozenPairs(FrozenTask, AbsTaskPairClassification):
    """PAWS-X, QAM and QADSM: mteb ranks pairs by their cosine; XGLUE's accuracy has its threshold from English."""

    mteb_type, mteb_score, mteb_category = "PairClassification", "max_ap", "t2t"

    def _mteb_scores(self, rows: Rows, found: Scored, vectors: Floats) -> dict[str, Any]:
        first, second = vectors[: len(rows.rows)], vectors[len(rows.rows) :]
        measures: Any = {
            "similarity_scores": found.similarity,
            "cosine_scores": found.similarity,
            "manhattan_distances": paired_manhattan_distances(first, second).tolist(),
            "euclidean_distances": paired_euclidean_distances(first, second).tolist(),
            "dot_scores": (first * second).sum(axis=1).tolist(),
        }
        return dict(self._compute_metrics(measures, rows.gold))


class FrozenReranking(FrozenTask, AbsTaskRetrieval):
    """WPR: the rows of a query are ranked by cosine; XGLUE's number ranks them by their predicted grades."""

    mteb_type, mteb_score, mteb_category = "Reranking", "ndcg_at_10", "t2t"

    def _mteb_scores(self, rows: Rows, found: Scored, vectors: Floats) -> dict[str, Any]:
        from mteb.timing import TimingStack

        graded: dict[str, dict[str, int]] = {}
        ranked: dict[str, dict[str, float]] = {}
        assert found.similarity is not None
        for place, (query, grade, score) in enumerate(zip(rows.documents, rows.gold, found.similarity, strict=True)):
            graded.setdefault(f"q{query}", {})[f"d{place}"] = grade
            ranked.setdefault(f"q{query}", {})[f"d{place}"] = score
        several = {query for query, grades in graded.items() if kind_of(self.spec).is_scored(grades)}
        data: Any = {
            "queries": _ids(several, list(graded)),
            "corpus": _ids(None, [f"d{place}" for place in range(len(rows.rows))]),
            "relevant_docs": {query: graded[query] for query in graded if query in several},
            "top_ranked": {query: [*graded[query]] for query in graded if query in several},
        }
        known = {query: scores for query, scores in ranked.items() if query in several}
        ways: Any = {"hf_split": "test", "hf_subset": "", "encode_kwargs": {}, "timer": TimingStack()}
        scores = AbsTaskRetrieval._evaluate_subset(self, _Ranked(known), data, **ways)
        return {**scores, "xglue_ndcg_by_cosine": found.ranking}


class FrozenTagging(FrozenTask):
    """NER and POS, for which mteb has no type: a linear probe on the state of each word's first subword."""

    mteb_type = "Classification"

    def _mteb_scores(self, rows: Rows, found: Scored, vectors: Floats) -> dict[str, Any]:
        predicted = np.array([label for labels in found.predicted for label in labels])
        return {"accuracy": float(np.mean(predicted == rows.labels))}

    def _vectors(self, model: Any, rows: Rows, language: str, split: str, subset: str, ways: Any) -> Floats:
        if not hasattr(model, "encode_words"):
            raise DataError(
                f"{self.metadata.name} needs states of words, which {type(model).__name__} does not give: load the "
                "checkpoint as xglue_harness.probing.encoder.FrozenModel"
            )
        words: Floats = model.encode_words(self.spec, rows.rows, language)
        return words


class _Ranked:
    """Scores that are known already, as a search model of mteb."""

    def __init__(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        self._scores = scores
        self.mteb_model_meta: Any = None

    def index(self, corpus: Any, **_: Any) -> None:
        """Nothing is to be indexed."""

    def search(self, queries: Any, **_: Any) -> dict[str, dict[str, float]]:
        """The scores of each query's rows."""
        return {query: dict(scores) for query, scores in self._scores.items()}


_CLASSES: Mapping[str, type[FrozenTask]] = {
    "text": FrozenClassification,
    "pair": FrozenClassification,
    "cosine": FrozenPairs,
    "word": FrozenTagging,
}


def frozen_task(
    spec: TaskSpec, source: Source, recipe: ProbeRecipe, languages: Sequence[str] | None = None
) -> FrozenTask:
    """A task as mteb runs it.

    Args:
        spec: the task.
        source: of the data.
        recipe: of the probe.
        languages: to score; ``None``: all that have a test set.

    Raises:
        DataError: where the data have no test set of the task.
    """
    there = source.available(spec)
    chosen = [language for language in there if languages is None or language in languages]
    if not chosen:
        raise DataError(f"{source.description} has no test set of {spec.title} in {', '.join(languages or ['any'])}")
    kind = FrozenReranking if spec.kind is Kind.RANKING else _CLASSES[recipe.features]
    return kind(spec, source, recipe, chosen)


def benchmark(
    data: str | None = None, *, tasks: Sequence[str] | None = None, seed: int = 0, words: bool = True
) -> mteb.Benchmark:
    """The benchmark ``XGLUE (frozen)``, for `mteb.evaluate`.

    Args:
        data: as the option ``data`` of a run: ``sample``, ``hub``, a folder, ...
        tasks: short names; ``None``: all that the data have.
        seed: draws the training rows, where there are more than a probe takes.
        words: whether NER and POS are among them, which only `xglue_harness.probing.encoder.FrozenModel` can do.

    Raises:
        DataError: where there are no such data.
    """
    source = open_source(data)
    specs = [TASKS[name] for name in tasks] if tasks is not None else list(TASKS.values())
    found = [
        frozen_task(spec, source, probe_recipe(spec, pooling="mean", max_length=256, seed=seed))
        for spec in specs
        if (tasks is not None or source.available(spec)) and (words or not kind_of(spec).per_word)
    ]
    return mteb.Benchmark(
        name=BENCHMARK,
        tasks=found,
        description="XGLUE's understanding tasks for frozen encoders: fitted on English, scored in every language.",
        reference=_PAPER,
    )


def data_revision(spec: TaskSpec, source: Source, recipe: ProbeRecipe) -> tuple[str, str]:
    """Which data and which probe it is: in full, and in eight digits.

    All languages count that the data have, so that it does not depend on those that are scored.

    Args:
        spec: the task.
        source: of the data.
        recipe: of the probe; pooling and length belong to the encoder, and don't count.
    """
    files = dict(source.load(spec, "train", SOURCE_LANGUAGE).files)
    for language in source.available(spec):
        files.update(source.load(spec, "test", language).files)
    probe = recipe.model_copy(update={"pooling": "mean", "max_length": 256}).key
    revision = f"{fingerprint(files)}-probe-{probe}"
    return revision, hashlib.sha256(revision.encode()).hexdigest()[:8]


def encoded(
    model: Any, metadata: TaskMetadata, texts: Sequence[str], language: str, split: str, subset: str, ways: Any
) -> Floats:
    """Vectors of texts from any model of mteb, ``[texts, width]``; each text is told with its own language.

    Args:
        model: that encodes.
        metadata: of the task.
        texts: all in one language.
        language: theirs.
        split: of the data, for the model's prompts.
        subset: the same.
        ways: further arguments of ``encode``.
    """
    from torch.utils.data import DataLoader

    rows: Any = [{"text": text, "language": language} for text in texts]
    loader = DataLoader(rows, batch_size=ways.get("batch_size", 32))
    found = model.encode(loader, task_metadata=metadata, hf_split=split, hf_subset=subset, **ways)
    return np.asarray(found, dtype=np.float64)


def script_code(language: str) -> str:
    """A language as mteb writes it: ``de`` is ``deu-Latn``."""
    return NLLB_CODES[language].replace("_", "-")


def _ids(wanted: set[str] | None, names: Sequence[str]) -> Any:
    from datasets import Dataset

    chosen = [name for name in names if wanted is None or name in wanted]
    return Dataset.from_dict({"id": chosen, "text": [""] * len(chosen)})
