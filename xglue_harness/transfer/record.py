"""The record of one language's number, for lm-eval's results file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.data import fingerprint
from xglue_harness.records.converted import converted_from
from xglue_harness.records.parts import BackboneRecord, Data, Flags
from xglue_harness.records.provenance import environment
from xglue_harness.records.schema import Diagnostics, Evaluation, Interventions, RunRecord
from xglue_harness.records.training_schema import Selection, Training

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.fingerprint import Identity
    from xglue_harness.training.finetune import FineTuned
    from xglue_harness.transfer.job import Job
    from xglue_harness.transfer.leaf import Leaf


def record(
    job: Job,
    leaf: Leaf,
    identity: Identity,
    tuned: FineTuned,
    selection: Selection,
    evaluation: Evaluation,
    constant: str | None,
    diagnostics: Diagnostics | None = None,
    interventions: Interventions | None = None,
) -> dict[str, Any]:
    """All that a reader needs to judge, or to repeat, a leaf's number, as JSON.

    Args:
        job: what was done.
        leaf: one of its leaves.
        identity: hashes of the pretrained encoder.
        tuned: the fine-tuned encoder.
        selection: which epoch counted, and what each rule leads to.
        evaluation: what predicting took.
        constant: the class that all predictions are; ``None`` where they differ, as they should.
        diagnostics: measures beside the score, where any was asked for.
        interventions: scores of changed states, where any was asked for.
    """
    backbone, recipe = job.backbone, job.recipe
    run = RunRecord(
        protocol="finetune",
        task=leaf.spec.name,
        source_language=SOURCE_LANGUAGE,
        target_language=leaf.language,
        sample=leaf.is_sample,
        recipe={**recipe.model_dump(), "key": recipe.key},
        named_recipe=job.options.recipe,
        data=data_record(leaf, {**job.files, **leaf.files}, job.unofficial),
        backbone=backbone_record(backbone, identity),
        selection=selection,
        training=tuned.training,
        session=tuned.session,
        evaluation=evaluation,
        diagnostics=diagnostics,
        interventions=interventions,
        predictions=None,
        flags=flags(tuned.training, selection.epoch, constant),
        environment=environment(backbone.device),
    )
    return run.model_dump(mode="json", by_alias=True)


def backbone_record(backbone: Backbone, identity: Identity) -> BackboneRecord:
    """What is known of a pretrained encoder.

    Args:
        backbone: the encoder.
        identity: its hashes.
    """
    return BackboneRecord(
        name=backbone.name,
        revision=backbone.revision,
        model_type=backbone.config.model_type,
        encoder_sha256=identity.weights,
        config_sha256=identity.config,
        tokenizer_sha256=identity.tokenizer,
        batches=backbone.batch_rule,
        encoder_parameters=sum(parameter.numel() for parameter in backbone.encoder.parameters()),
        converted_from=converted_from(backbone.config),
    )


def data_record(leaf: Leaf, files: Mapping[str, str], unofficial: Sequence[str]) -> Data:
    """What was read for a leaf's number.

    Args:
        leaf: the leaf.
        files: sha256 of each file, by path.
        unofficial: what to say of files with another number of rows than the official ones, beside the test set.
    """
    source = leaf.source
    return Data(
        source=source.name,
        description=source.description,
        fingerprint=fingerprint(files),
        files=dict(files),
        unofficial=[*dict.fromkeys([*unofficial, *leaf.unofficial])],
    )


def flags(training: Training, epoch: float, constant: str | None) -> Flags:
    """Signs that a run learnt nothing: English dev at chance level, or always the same prediction.

    Args:
        training: the record of the training.
        epoch: the epoch that was scored.
        constant: the class that all of the leaf's predictions are, where they are.
    """
    reasons = []
    scores = next(scores for scores in training.epochs if scores.epoch == epoch)
    english = scores.dev.get(SOURCE_LANGUAGE)
    if english is not None and training.chance_limit is not None and english <= training.chance_limit:
        reasons.append(
            f"English dev {english:.4f} is chance level: always guessing one class scores {training.chance:.4f}, and "
            f"up to {training.chance_limit:.4f} is not significantly more"
        )
    if scores.constant:
        reasons.append("every prediction on English dev is the same class")
    return Flags.of(constant, *reasons)
