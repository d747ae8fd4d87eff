"""Run a job: fine-tune once, predict every language with the weights that each selection rule leads to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xglue_harness.collapse import constant
from xglue_harness.diagnostics.epochs import NOT_KEPT, Epoch, EpochModels
from xglue_harness.diagnostics.gradients import GradientWatch
from xglue_harness.diagnostics.run import diagnose
from xglue_harness.encoders.unknown import count_unknown
from xglue_harness.interventions.run import Scored, intervene
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import Predictions, Prepared, predict, prepare
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.parts import Cost
from xglue_harness.records.schema import Diagnostics, Evaluation, Interventions
from xglue_harness.records.training_schema import EpochScores, Rule, RuleScore, Selection
from xglue_harness.training.determinism import seeded
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import FineTuned, finetune, training_key
from xglue_harness.training.reports import Reports, reporting, run_name
from xglue_harness.training.selection import RULES, Selected, selected
from xglue_harness.transfer.job import Job, compared, context_builder
from xglue_harness.transfer.record import record

if TYPE_CHECKING:
    from xglue_harness.diagnostics.context import ContextBuilder
    from xglue_harness.encoders.fingerprint import Identity
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.kinds.base import Prediction
    from xglue_harness.store.trainings import Entry
    from xglue_harness.transfer.leaf import Leaf


@dataclass(frozen=True)
class Outcome:
    """What came of a leaf.

    Attributes:
        predictions: of its documents, by number, with the weights that count.
        scores: of the same, by number, as `xglue_harness.records.predictions` keeps them.
        record: all that a reader needs to judge its number, as JSON.
    """

    predictions: dict[int, Prediction]
    scores: dict[int, Any]
    record: dict[str, Any]


@dataclass
class _LeafRun:
    """A leaf while it is predicted: with which weights, and what has come of it."""

    leaf: Leaf
    prepared: Prepared
    weights: dict[Rule, Selected]
    weights_scores: dict[Selected, float | None] = field(default_factory=dict)
    predictions: dict[int, Prediction] = field(default_factory=dict)
    scores: dict[int, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    constant: str | None = None

    @property
    def headline(self) -> Selected:
        """The weights whose predictions are the answer."""
        return self.weights[self.leaf.options.select]


def run_job(
    identity: Identity, job: Job, *, entry: Entry | None = None, progress: bool, place: str = ""
) -> list[Outcome]:
    """Fine-tune, or take from the store, and predict; every selection rule is scored, one gives the answer.

    Args:
        identity: hashes of the backbone.
        job: what is to be done.
        entry: the training, where the store is known to have it.
        progress: show bars.
        place: of the job in its run, for the log.

    Returns:
        What came of each of the job's leaves.
    """
    backbone, spec, recipe, options = job.backbone, job.spec, job.recipe, job.options
    diagnostics: dict[str, Diagnostics] = {}
    interventions: dict[str, Interventions] = {}
    seconds = 60 * options.checkpoint_minutes
    with _reporting(identity, job) as reports, seeded(recipe.seed, backbone.device):
        tuned = finetune(
            backbone,
            identity,
            spec,
            recipe,
            job.data,
            entry=entry,
            checkpoint_seconds=seconds,
            progress=progress,
            graphs=options.graphs,
            place=place,
            reports=reports,
            watch=None if job.parallel is None else GradientWatch(backbone, recipe, job.parallel, World.current()),
            select=options.select,
            keep_all=options.keep_epochs == "all",
        )
        bars = progress and tuned.world.is_main_process
        runs = [_leaf_run(job, tuned, leaf, progress=bars) for leaf in job.leaves]
        model = tuned.model(backbone, spec, recipe)
        scored = {run.leaf.language: (run.leaf.documents, run.prepared) for run in runs}
        builder = None
        if options.diagnostics:
            builder = context_builder(job, scored, tuned.world, wanted=options.diagnostic_rows)
        answering = runs[0].headline  # last, so that diagnostics know all scores
        every = {weights for run in runs for weights in run.weights.values()}
        for weights in sorted(every, key=lambda one: (one == answering, one)):
            tuned.load(model, weights, backbone.device)
            wanted = [run for run in runs if weights in run.weights.values()]
            with CostMeter(backbone.device) as meter:
                parts = [run.prepared for run in wanted]
                recorder = builder.recorder if builder is not None and weights == answering else None
                predictions = predict(model, backbone, recipe, parts, progress=bars, recorder=recorder)
            whole = sum(prediction.padded_tokens for prediction in predictions)
            for run, prediction in zip(wanted, predictions, strict=True):
                cost = meter.cost(prediction.real_tokens, share=prediction.padded_tokens / whole if whole else 0.0)
                _note(run, weights, prediction, cost, tuned.world, backbone.tokenizer)
            if builder is not None and recorder is not None:
                diagnostics = _diagnosed(job, model, runs, tuned, builder, progress=bars)
            if job.texts is not None and weights == answering:
                interventions = _intervened(job, model, runs, tuned.world)
        answers = {run.leaf.language: run.weights_scores[run.headline] for run in runs}
        scores = {language: score for language, score in answers.items() if score is not None}
        reports.tested(scores, tuned.training.steps)
    return [
        _outcome(job, run, identity, tuned, diagnostics.get(run.leaf.language), interventions.get(run.leaf.language))
        for run in runs
    ]


def _diagnosed(
    job: Job,
    model: TransferModel,
    runs: Sequence[_LeafRun],
    tuned: FineTuned,
    builder: ContextBuilder,
    *,
    progress: bool,
) -> dict[str, Diagnostics]:
    """What diagnostics find, in each language that is scored."""
    epochs = _epoch_models(job, runs, tuned)
    context = builder.build(job.recipe, model, compared(job), epochs, progress=progress)
    return diagnose(job.options.diagnostics, context)


def _epoch_models(job: Job, runs: Sequence[_LeafRun], tuned: FineTuned) -> EpochModels:
    """The epochs of the training, with all that is known of their scores, in a model of their own."""
    epochs = []
    for scores in tuned.training.epochs:
        weights = Selected(scores.epoch)
        test = {run.leaf.language: run.weights_scores.get(weights) for run in runs}
        known = {language: score for language, score in test.items() if score is not None}
        missing = None if tuned.has(weights) else NOT_KEPT
        epochs.append(Epoch(scores.epoch, scores.dev, known, missing, scored=weights == runs[0].headline))
    backbone = job.backbone
    models: list[TransferModel] = []

    def load(epoch: Epoch) -> TransferModel:
        if not models:
            models.append(tuned.model(backbone, job.spec, job.recipe))
        tuned.load(models[0], Selected(epoch.epoch), backbone.device)
        return models[0]

    return EpochModels(epochs, load)


def _intervened(job: Job, model: TransferModel, runs: Sequence[_LeafRun], world: World) -> dict[str, Interventions]:
    """Scores of changed states, in each language that is scored."""
    assert job.texts is not None
    scored = {
        run.leaf.language: Scored(
            run.prepared,
            [document[job.spec.label_column] for document in run.leaf.documents.values()],
            [*run.predictions.values()],
        )
        for run in runs
        if not run.leaf.is_predicted_only
    }
    return intervene(job.options, model, job.backbone, job.recipe, job.spec, job.texts, scored, world)


def _reporting(identity: Identity, job: Job) -> AbstractContextManager[Reports]:
    """The trackers that the options ask for, which are told what run this is."""
    backbone, recipe, named = job.backbone, job.recipe, job.options.recipe
    key = training_key(backbone, identity, recipe, job.data)
    hyperparameters = {
        **recipe.model_dump(),
        "recipe": None if named is None else named.name,
        "select": job.options.select,
        "backbone": backbone.name,
        "revision": backbone.revision,
        "train_rows": len(job.data.train),
        "data": job.leaves[0].source.name,
        "store_key": key,
    }
    run = run_name(backbone.name, job.spec.name, recipe.seed, key)
    return reporting(job.options.report_to, run, key, hyperparameters, job.spec.metric, World.current())


def _leaf_run(job: Job, tuned: FineTuned, leaf: Leaf, *, progress: bool) -> _LeafRun:
    documents = list(leaf.documents.values())
    prepared = prepare(job.backbone, job.spec, job.recipe, documents, leaf.language, progress=progress)
    rules: list[Rule] = [*dict.fromkeys([*RULES, leaf.options.select])]
    found = {rule: selected(tuned.training.epochs, rule, leaf.language) for rule in rules}
    weights = {rule: one for rule, one in found.items() if one is not None and tuned.has(one)}
    return _LeafRun(leaf, prepared, weights)


def _note(run: _LeafRun, weights: Selected, part: Predictions, cost: Cost, world: World, tokenizer: Any) -> None:
    """Score predictions, put together from all processes; those with the weights that count are kept."""
    leaf, spec, prepared = run.leaf, run.leaf.spec, run.prepared
    own_values = dict(zip(leaf.documents, part.values, strict=True))
    own_golds = {number: document[spec.label_column] for number, document in leaf.documents.items()}
    read = count_unknown(tokenizer, prepared.inputs.ids) or (0, 0)
    counts = (prepared.truncated, part.missing_words, part.duplicates, part.real_tokens, part.padded_tokens, *read)
    shares = world.gather((own_golds, own_values, counts))
    golds = {number: gold for share, _, _ in shares for number, gold in share.items()}
    values = {number: value for _, share, _ in shares for number, value in share.items()}
    kind = kind_of(spec)
    items = [kind.document_score(golds[number], values[number]) for number in sorted(golds)]
    run.weights_scores[weights] = None if leaf.is_predicted_only else kind.score(items)
    if weights != run.headline:
        return
    run.predictions, run.scores = own_values, dict(zip(leaf.documents, part.scores, strict=True))
    run.constant = constant(spec, values.values(), golds.values())
    truncated, missing, duplicates, real, padded, unknown, subwords = (
        sum(column) for column in zip(*(counts for _, _, counts in shares), strict=True)
    )
    run.evaluation = Evaluation(
        documents=len(items),
        truncated=truncated,
        missing_words=missing,
        unknown=unknown / subwords if subwords else None,
        duplicates=duplicates,
        real_tokens=real,
        padded_tokens=padded,
        padding_ratio=padded / real if real else 1.0,
        single_row_queries_left_out=leaf.single_row_queries,
        cost=cost,
    )


def _outcome(
    job: Job,
    run: _LeafRun,
    identity: Identity,
    tuned: FineTuned,
    diagnostics: Diagnostics | None,
    interventions: Interventions | None,
) -> Outcome:
    assert run.evaluation is not None
    selection = _selection(run, tuned.training.epochs)
    written = record(
        job, run.leaf, identity, tuned, selection, run.evaluation, run.constant, diagnostics, interventions
    )
    return Outcome(run.predictions, run.scores, written)


def _selection(run: _LeafRun, epochs: Sequence[EpochScores]) -> Selection:
    """What each rule leads to, and why the others have no score."""
    dev = run.leaf.options.dev
    reasons = {
        "en_dev": "the data have no English dev set",
        "all_dev": "the data have dev sets of less than two languages",
        "oracle": f"the data have no dev set of {run.leaf.language}",
    }
    if dev != "all":
        reasons = dict.fromkeys(reasons, f'the option dev is "{dev}"')
    reasons["average"] = "the training lay in the store and has no mean of its epochs; select average trains it again"
    return Selection(
        rule=run.leaf.options.select,
        epoch=run.headline.epoch,
        averaged=run.headline.averaged,
        scores={
            rule: RuleScore(epoch=weights.epoch, averaged=weights.averaged, score=run.weights_scores[weights])
            for rule, weights in run.weights.items()
        },
        unavailable={rule: reasons[rule] for rule in RULES if rule not in run.weights},
        dev_languages=sorted(epochs[-1].dev),
    )
