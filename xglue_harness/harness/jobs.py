"""One fine-tuning and the predictions of all its languages."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from datasets import Dataset

from xglue_harness.benchmark import SOURCE_LANGUAGE, Kind, TaskSpec
from xglue_harness.collapse import constant
from xglue_harness.data import fingerprint, unofficial
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.encoders.probe import Finding, check_length, probe_padding, with_company
from xglue_harness.encoders.told_languages import check_languages
from xglue_harness.errors import RecipeError
from xglue_harness.harness.diagnostics import check, diagnose
from xglue_harness.harness.protocol import DOCUMENT
from xglue_harness.harness.record import record
from xglue_harness.harness.study import ContextBuilder
from xglue_harness.prediction.predict import Predictions, Prepared, predict, prepare
from xglue_harness.recipe import Options, Recipe, resolve
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.schema import Cost, Diagnostics, EpochScores, Evaluation, Rule, RuleScore, Selection
from xglue_harness.scoring import document_score, documents, is_scored, score
from xglue_harness.training.determinism import seeded
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import FineTuned, finetune, resolve_precision
from xglue_harness.training.selection import RULES, selected
from xglue_harness.training.trainer import TrainingData

if TYPE_CHECKING:
    from xglue_harness.encoders.fingerprint import Identity
    from xglue_harness.harness.finetuning import TransferRequest
    from xglue_harness.harness.task import TransferTask
    from xglue_harness.scoring import Prediction

logger = logging.getLogger(__name__)

Group = dict["TransferTask", list[tuple[int, "TransferRequest"]]]
"""Requests with their places, by the language leaf that they belong to; all of one XGLUE task and one recipe."""


@dataclass(frozen=True)
class Job:
    """One fine-tuning and all that it needs."""

    backbone: Backbone
    """With what was found out about batches of inputs as long as the recipe's."""
    spec: TaskSpec
    recipe: Recipe
    group: Group
    material: TrainingData
    files: dict[str, str]
    """sha256 of the files that the training reads."""
    unofficial: tuple[str, ...]
    """What to say of those that have another number of rows than the official ones."""

    @property
    def options(self) -> Options:
        """What all of its leaves were asked for."""
        return next(iter(self.group)).options

    def documents_of(self, task: TransferTask) -> dict[int, Any]:
        """Documents of a leaf, each once, by number; lm-eval asks for some twice, so that processes have as many."""
        return {request.doc_id: request.doc for _, request in self.group[task]}


def prepare_job(backbone: Backbone, group: Group) -> Job:
    """Settle the recipe and read the training and dev sets.

    Raises:
        DataError: where a file is missing or malformed.
        RecipeError: where the dev set that ``select`` needs is missing, or the precision can't be had.
        EncoderError: where the encoder can't read inputs of the recipe's length, or would have to be told a language
            that it does not know.
    """
    first = next(iter(group))
    spec, options, source = first.spec, first.options, first.source
    recipe = resolve(
        options,
        spec,
        seed=torch.initial_seed() % 2**32,
        precision=resolve_precision(options.precision, backbone.device),
        pooling=default_pooling(backbone.config) if options.pooling == "auto" else options.pooling,
    )
    check_length(backbone, recipe.max_length)
    check(options)
    if first.is_sample:
        logger.warning("SAMPLE data: a toy for trying the software out; the scores mean nothing")
    train = source.load(spec, "train", SOURCE_LANGUAGE)
    dev, dev_files, dev_lines = _dev_sets(group, recipe)
    files = {**train.files, **dev_files}
    lines = [*unofficial(source, spec, "train", SOURCE_LANGUAGE, len(train.dataset)), *dev_lines]
    if others := [*lines, *(line for task in group for line in task.unofficial)]:
        logger.warning("UNOFFICIAL data: scores do not compare with those on XGLUE: %s", "; ".join(others))
    material = TrainingData(_first_rows(train.dataset, recipe, spec.title), fingerprint(files), dev)
    check_languages(backbone, [SOURCE_LANGUAGE, *dev, *(task.language for task in group)])
    return Job(_probed(backbone, recipe), spec, recipe, group, material, files, tuple(lines))


_FOUND: WeakKeyDictionary[Any, dict[int, Finding]] = WeakKeyDictionary()
"""What was found out about encoders, by the length of the inputs: the tasks of a run share it."""


def _probed(backbone: Backbone, recipe: Recipe) -> Backbone:
    """A backbone that knows which inputs may share a batch; all processes go by what the first one found."""
    known = _FOUND.setdefault(backbone.encoder, {})
    length = recipe.max_length
    if length not in known:
        known[length] = World.current().on_main(lambda: probe_padding(backbone, length))
    return with_company(backbone, known[length])


def compared(job: Job) -> dict[str, Backbone]:
    """The encoders that diagnostics compare with: what was trained from, and a reference where one was named.

    Raises:
        EncoderError: where the reference can't be loaded, or can't read what the encoder reads.
    """
    found = {"pretrained": job.backbone}
    if job.options.reference is not None:
        reference = load_backbone(job.options.reference, job.backbone.device)
        check_length(reference, job.recipe.max_length)
        check_languages(reference, [task.language for task in job.group])
        found["reference"] = _probed(reference, job.recipe)
    return found


def _dev_sets(group: Group, recipe: Recipe) -> tuple[dict[str, Dataset], dict[str, str], list[str]]:
    """Documents of the dev sets that are scored (all that the data have, English, or none), their files' sha256, and
    what is to be said of their number of rows.
    """
    first = next(iter(group))
    spec, select, source = first.spec, first.options.select, first.source
    asked = {"all": spec.languages, "en": (SOURCE_LANGUAGE,), "none": ()}[recipe.dev]
    there = source.available(spec, "dev") if asked else ()
    found: dict[str, Dataset] = {}
    files: dict[str, str] = {}
    lines: list[str] = []
    for language in (language for language in asked if language in there):
        loaded = source.load(spec, "dev", language)
        dataset = documents(spec, loaded.dataset)
        if any(is_scored(spec, gold) for gold in dataset[spec.label_column]):  # queries may all have one row
            found[language] = dataset
            files.update(loaded.files)
            lines += unofficial(source, spec, "dev", language, len(loaded.dataset))
    missing = [language for language in asked if language not in found]
    needed = {"en_dev": [SOURCE_LANGUAGE], "oracle": [task.language for task in group]}.get(select, [])
    if lacking := [language for language in needed if language in missing]:
        raise RecipeError(
            f"select {select} needs the dev set of {spec.title} in {', '.join(lacking)}, which the data do not have"
        )
    if select == "all_dev" and len(found) < 2:
        raise RecipeError(f"select all_dev needs the dev sets of {spec.title} in several languages")
    if missing:
        logger.warning("the data have no dev set of %s in %s: rules do without", spec.title, ", ".join(missing))
    return found, files, lines


def _first_rows(dataset: Dataset, recipe: Recipe, title: str) -> Dataset:
    wanted = recipe.train_limit
    if wanted is not None and wanted > len(dataset):
        logger.warning(
            "train_limit %d: English %s has only %d training rows, all are used", wanted, title, len(dataset)
        )
    return dataset if wanted is None else dataset.select(range(min(wanted, len(dataset))))


@dataclass
class _Leaf:
    """One language of a job: what is predicted, with the weights of which epochs, and what came of it."""

    task: TransferTask
    pairs: list[tuple[int, TransferRequest]]
    """Place and request of each answer; lm-eval asks for some documents twice, so that processes have as many."""
    documents: dict[int, Any]
    """Each document once, by its number."""
    prepared: Prepared
    epochs: dict[Rule, float]
    scores: dict[float, float | None] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    constant: str | None = None

    @property
    def headline(self) -> float:
        """The epoch whose predictions are the answer."""
        return self.epochs[self.task.options.select]


def run_job(identity: Identity, job: Job, *, progress: bool) -> list[tuple[int, Any]]:
    """Fine-tune, or take from the store, and predict; every selection rule is scored, one gives the answer.

    Returns:
        Place and prediction of each request.
    """
    backbone, spec, recipe, options = job.backbone, job.spec, job.recipe, job.options
    found: list[tuple[int, Any]] = []
    diagnostics: dict[str, Diagnostics] = {}
    minutes = options.checkpoint_minutes
    with seeded(recipe.seed, backbone.device):
        tuned = finetune(
            backbone, identity, spec, recipe, job.material, checkpoint_seconds=60 * minutes, progress=progress
        )
        bars = progress and tuned.world.is_main_process
        leaves = [_leaf(job, tuned, task, progress=bars) for task in job.group]
        model = tuned.model(backbone, spec, recipe)
        scored = {leaf.task.language: (leaf.documents, leaf.prepared) for leaf in leaves}
        look = look_at(job, scored, tuned.world, wanted=options.diagnostic_rows) if options.diagnostics else None
        for epoch in sorted({epoch for leaf in leaves for epoch in leaf.epochs.values()}):
            tuned.load(model, epoch, backbone.device)
            wanted = [leaf for leaf in leaves if epoch in leaf.epochs.values()]
            with CostMeter(backbone.device) as meter:
                parts = [leaf.prepared for leaf in wanted]
                watch = look.watch if look is not None and epoch == leaves[0].headline else None
                predictions = predict(model, backbone, recipe, parts, progress=bars, watch=watch)
            whole = sum(prediction.padded_tokens for prediction in predictions)
            for leaf, prediction in zip(wanted, predictions, strict=True):
                values = dict(zip(leaf.documents, prediction.values, strict=True))
                cost = meter.cost(prediction.real_tokens, share=prediction.padded_tokens / whole if whole else 0.0)
                _note(leaf, epoch, values, prediction, cost, tuned.world)
                if epoch == leaf.headline:
                    found.extend((index, values[request.doc_id]) for index, request in leaf.pairs)
                    numbers = [document[DOCUMENT] for document in leaf.documents.values()]
                    leaf.task.row_scores.update(zip(numbers, prediction.scores, strict=True))
            if look is not None and watch is not None:
                diagnostics = diagnose(options.diagnostics, look.study(recipe, model, compared(job)))
    for leaf in leaves:
        assert leaf.evaluation is not None
        selection = _selection(leaf, tuned.training.epochs)
        leaf.task.run = record(
            leaf.task,
            backbone,
            identity,
            recipe,
            job.files,
            job.unofficial,
            tuned,
            selection,
            leaf.evaluation,
            leaf.constant,
            diagnostics.get(leaf.task.language),
        )
    return found


def look_at(
    job: Job, scored: Mapping[str, tuple[dict[int, Any], Prepared]], world: World, *, wanted: int | None
) -> ContextBuilder:
    """Choose the documents that diagnostics look at.

    Args:
        job: the job.
        scored: documents of each language by number, and the same tokenised.
        world: the processes.
        wanted: documents of each language, as for `Sample`.
    """
    first = next(iter(job.group))

    def english() -> Dataset:
        return documents(job.spec, first.source.load(job.spec, "test", SOURCE_LANGUAGE).dataset)

    return ContextBuilder(job.spec, world, scored, wanted, english)


def _leaf(job: Job, tuned: FineTuned, task: TransferTask, *, progress: bool) -> _Leaf:
    pairs, unique = job.group[task], job.documents_of(task)
    prepared = prepare(job.backbone, job.spec, job.recipe, list(unique.values()), task.language, progress=progress)
    epochs = {rule: selected(tuned.training.epochs, rule, task.language) for rule in RULES}
    return _Leaf(task, pairs, unique, prepared, {rule: epoch for rule, epoch in epochs.items() if epoch is not None})


def _note(
    leaf: _Leaf, epoch: float, values: dict[int, Prediction], part: Predictions, cost: Cost, world: World
) -> None:
    """Score predictions, put together from all processes."""
    task, prepared, column = leaf.task, leaf.prepared, leaf.task.spec.label_column
    golds = {number: document[column] for number, document in leaf.documents.items()}
    counts = (prepared.truncated, part.missing_words, part.duplicates, part.real_tokens, part.padded_tokens)
    shares = world.gather((golds, values, counts))
    golds = {doc: gold for share, _, _ in shares for doc, gold in share.items()}
    values = {doc: value for _, share, _ in shares for doc, value in share.items()}
    items = [document_score(task.spec, golds[doc], values[doc]) for doc in sorted(golds)]
    leaf.scores[epoch] = None if task.is_predicted_only else score(task.spec, items)
    if epoch != leaf.headline:
        return
    leaf.constant = constant(task.spec, values.values(), golds.values())
    truncated, missing, duplicates, real, padded = (
        sum(column) for column in zip(*(counts for _, _, counts in shares), strict=True)
    )
    leaf.evaluation = Evaluation(
        documents=len(items),
        truncated=truncated,
        missing_words=missing,
        duplicates=duplicates,
        real_tokens=real,
        padded_tokens=padded,
        padding_ratio=padded / real if real else 1.0,
        single_row_queries_left_out=task.single_row_queries if task.spec.kind is Kind.RANKING else None,
        cost=cost,
    )


def _selection(leaf: _Leaf, epochs: Sequence[EpochScores]) -> Selection:
    """What each rule leads to, and why the others have no score."""
    dev = leaf.task.options.dev
    reasons = {
        "en_dev": "the data have no English dev set",
        "all_dev": "the data have dev sets of less than two languages",
        "oracle": f"the data have no dev set of {leaf.task.language}",
    }
    return Selection(
        rule=leaf.task.options.select,
        epoch=leaf.headline,
        scores={rule: RuleScore(epoch=epoch, score=leaf.scores[epoch]) for rule, epoch in leaf.epochs.items()},
        unavailable={
            rule: reasons[rule] if dev == "all" else f'the option dev is "{dev}"'
            for rule in RULES
            if rule not in leaf.epochs
        },
        dev_languages=sorted(epochs[-1].dev),
    )
