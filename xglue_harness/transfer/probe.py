"""A frozen encoder in place of a fine-tuned one: a probe is fitted on English, and predicts every language."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.collapse import constant
from xglue_harness.data import unofficial
from xglue_harness.encoders.told_languages import check_languages
from xglue_harness.probing.opening import check_packages, frozen_encoder
from xglue_harness.probing.recipe import probe_recipe
from xglue_harness.probing.run import ProbeScore, TaskProbe, prepare_probe
from xglue_harness.probing.states import checked_size, keep_states
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.parts import Cost, Flags
from xglue_harness.records.probe_schema import ProbeEvaluation, ProbeFit, ProbeRecord, ProbeSession
from xglue_harness.records.provenance import environment
from xglue_harness.transfer.job import warn_of_sample, warn_of_unofficial
from xglue_harness.transfer.record import backbone_record, data_record
from xglue_harness.transfer.run import Outcome

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.fingerprint import Identity
    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.transfer.leaf import Leaf

logger = logging.getLogger(__name__)

PACKAGES = ("scikit-learn", "scipy", "sentence-transformers")
"""What can move a probe's score, beside what can move any."""


@dataclass(frozen=True)
class ProbeJob:
    """One probe and all that it needs, tokenised; nothing is computed yet.

    Attributes:
        leaves: the languages to predict, all of one task and one set of options.
        probe: the probe.
        layer: that it reads.
        train_rows: of the English training set, of which the probe's are drawn.
        files: sha256 of the files of the training set, by path.
        unofficial: what to say of it where it has not the official number of rows.
    """

    leaves: Sequence[Leaf]
    probe: TaskProbe
    layer: int
    train_rows: int
    files: Mapping[str, str]
    unofficial: Sequence[str]


class FrozenEncoders:
    """The frozen encoders of a run: one for each pooling and length, so that its weights are hashed once."""

    def __init__(self, backbone: Backbone, *, progress: bool) -> None:
        """Note what all of them are made of.

        Args:
            backbone: encoder and tokenizer; it is left as it is.
            progress: show bars.
        """
        self._backbone, self._progress = backbone, progress
        self._known: dict[tuple[str, int], FrozenEncoder] = {}

    def get(self, pooling: str, max_length: int) -> FrozenEncoder:
        """The one for a pooling (``auto``: as the checkpoint says) and a length."""
        key = (pooling, max_length)
        if key not in self._known:
            name = self._backbone.name
            name = f"{name}@{self._backbone.revision}" if self._backbone.revision else name
            ways: Any = {"pooling": pooling, "max_length": max_length, "progress": self._progress}
            self._known[key] = frozen_encoder(self._backbone, name, **ways)
        return self._known[key]


def prepare_probe_job(encoders: FrozenEncoders, leaves: Sequence[Leaf]) -> ProbeJob:
    """Settle the probe, read the training set, and tokenise all.

    Args:
        encoders: of the run.
        leaves: the languages to predict, all of one task and one set of options.

    Raises:
        DataError: where a file is missing or malformed, or the disk has no room for the states.
        EncoderError: where scikit-learn is missing, or the encoder can't be used or has no such layer.
        RecipeError: for a probe that can't be.
    """
    check_packages()
    spec, options, source = leaves[0].spec, leaves[0].options, leaves[0].source
    encoder = encoders.get(options.pooling, options.max_length)
    (layer,) = encoder.layers(None if options.probe_layer is None else [options.probe_layer])
    warn_of_sample(source)
    train = source.load(spec, "train", SOURCE_LANGUAGE)
    lines = unofficial(source, spec, "train", SOURCE_LANGUAGE, len(train.dataset))
    warn_of_unofficial([*lines, *(line for leaf in leaves for line in leaf.unofficial)])
    check_languages(encoder.backbone, [SOURCE_LANGUAGE, *(leaf.language for leaf in leaves)])
    seed = torch.initial_seed() % 2**32 if options.seed is None else options.seed
    ways: Any = {"pooling": encoder.pooling, "max_length": encoder.max_length}
    recipe = probe_recipe(spec, **ways, seed=seed, train_rows=options.probe_rows)
    documents = {leaf.language: [leaf.documents[number] for number in sorted(leaf.documents)] for leaf in leaves}
    probe = prepare_probe(encoder, spec, recipe, train.dataset, documents)
    size = checked_size([(encoder, probe.parts, [layer])])
    logger.info("%s, states: %s to be computed and kept in the cache", spec.title, size)
    return ProbeJob(leaves, probe, layer, len(train.dataset), dict(train.files), tuple(lines))


def run_probe_job(identity: Identity, job: ProbeJob) -> list[Outcome]:
    """Compute the states that are not there, fit the probe and predict.

    Args:
        identity: hashes of the backbone.
        job: what is to be done.

    Returns:
        What came of each of the job's leaves.

    Raises:
        DataError: where states can't be kept, or the training rows have a single class.
        EncoderError: for states that are not finite.
    """
    encoder = job.probe.encoder
    with CostMeter(encoder.backbone.device) as meter:
        keep_states([(encoder, job.probe.parts, [job.layer])], say_size=False)
        found = {score.language: score for score in job.probe.score(job.layer)}
    return [_outcome(job, leaf, found[leaf.language], identity, meter.cost()) for leaf in job.leaves]


def _outcome(job: ProbeJob, leaf: Leaf, found: ProbeScore, identity: Identity, cost: Cost) -> Outcome:
    numbers = sorted(leaf.documents)
    predictions = dict(zip(numbers, found.values, strict=True))
    scores = dict(zip(numbers, found.scores, strict=True))
    return Outcome(predictions, scores, _record(job, leaf, found, identity, cost))


def _record(job: ProbeJob, leaf: Leaf, found: ProbeScore, identity: Identity, cost: Cost) -> dict[str, Any]:
    """All that a reader needs to judge, or to repeat, a leaf's number, as JSON."""
    probe, encoder, spec = job.probe, job.probe.encoder, leaf.spec
    golds = [document[spec.label_column] for document in leaf.documents.values()]
    record = ProbeRecord(
        protocol="probe",
        task=spec.name,
        source_language=SOURCE_LANGUAGE,
        target_language=leaf.language,
        sample=leaf.is_sample,
        recipe=_recipe(job),
        data=data_record(leaf, {**job.files, **leaf.files}, job.unofficial),
        backbone=backbone_record(encoder.backbone, identity),
        probe=ProbeFit(
            layer=job.layer,
            layers=encoder.last,
            train_rows=len(probe.train.rows.rows),
            train_rows_there=job.train_rows,
            truncated=int(probe.train.part.inputs.truncated.sum()),
            iterations=found.iterations,
            after_pooling=None if probe.recipe.features == "word" else encoder.after_pooling(job.layer),
        ),
        session=ProbeSession(cost=cost),
        evaluation=ProbeEvaluation(
            documents=len(found.values),
            truncated=int(probe.tests[leaf.language].part.inputs.truncated.sum()),
            single_row_queries_left_out=leaf.single_row_queries,
        ),
        predictions=None,
        flags=Flags.of(constant(spec, found.values, golds)),
        environment=environment(encoder.backbone.device, PACKAGES),
    )
    return record.model_dump(mode="json", by_alias=True)


def _recipe(job: ProbeJob) -> dict[str, Any]:
    """The probe with what chose its layer and pooling: the last layer has another number in each encoder."""
    recipe = job.probe.recipe
    layer = "last" if job.layer == job.probe.encoder.last else job.layer
    chosen = {"layer": layer, "pooling_by": "checkpoint" if job.leaves[0].options.pooling == "auto" else "option"}
    return {**recipe.model_dump(), **chosen, "key": recipe.key}
