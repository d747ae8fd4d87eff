"""One fine-tuning and all that it needs, settled and read before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.data import Source, fingerprint, unofficial
from xglue_harness.diagnostics.context import ContextBuilder, Documents
from xglue_harness.diagnostics.parallel import ParallelRows, parallel_rows
from xglue_harness.diagnostics.run import check
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.dropout import check_attention_dropout
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.encoders.probe import Finding, check_length, probe_padding, with_batch_rule
from xglue_harness.encoders.told_languages import check_languages
from xglue_harness.errors import RecipeError
from xglue_harness.interventions.run import DevTexts, dev_texts
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import Prepared
from xglue_harness.recipe import Options, Recipe, resolve
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import resolve_precision
from xglue_harness.training.trainer import TrainingData
from xglue_harness.transfer.leaf import Leaf

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One fine-tuning and all that it needs.

    Attributes:
        backbone: with what was found out about batches of inputs as long as the recipe's.
        spec: the task.
        recipe: the recipe.
        leaves: the languages to predict, with their documents; all of one task and one set of options.
        data: what the training reads.
        files: sha256 of the files that it comes from, by path.
        unofficial: what to say of those that have another number of rows than the official ones.
        texts: dev texts that interventions are fitted on, where any was asked for.
        parallel: parallel texts of the alignment loss that gradients are compared with, where that was asked for.
    """

    backbone: Backbone
    spec: TaskSpec
    recipe: Recipe
    leaves: Sequence[Leaf]
    data: TrainingData
    files: dict[str, str]
    unofficial: tuple[str, ...]
    texts: DevTexts | None = None
    parallel: ParallelRows | None = None

    @property
    def options(self) -> Options:
        """What all of its leaves were asked for."""
        return self.leaves[0].options


def prepare_job(backbone: Backbone, leaves: Sequence[Leaf], probes: dict[int, Finding]) -> Job:
    """Settle the recipe and read the training and dev sets.

    Args:
        backbone: the pretrained encoder.
        leaves: the languages to predict, all of one task and one set of options.
        probes: what was found out about the encoder's batches, by the length of the inputs; added to.

    Raises:
        DataError: where a file is missing or malformed.
        RecipeError: where the dev set that ``select`` needs is missing, or the precision can't be had.
        EncoderError: where the encoder can't read inputs of the recipe's length, would have to be told a language
            that it does not know, or computes attention without its dropout.
    """
    spec, options, source = leaves[0].spec, leaves[0].options, leaves[0].source
    recipe = resolve(
        options,
        spec,
        seed=torch.initial_seed() % 2**32,
        precision=resolve_precision(options.precision, backbone.device),
        pooling=default_pooling(backbone.config) if options.pooling == "auto" else options.pooling,
    )
    check_length(backbone, recipe.max_length)
    check_attention_dropout(backbone.encoder, recipe.dropout)
    check(options)
    warn_of_sample(source)
    train = source.load(spec, "train", SOURCE_LANGUAGE)
    dev, dev_files, dev_lines = _dev_sets(leaves, recipe)
    files = {**train.files, **dev_files}
    lines = [*unofficial(source, spec, "train", SOURCE_LANGUAGE, len(train.dataset)), *dev_lines]
    warn_of_unofficial([*lines, *(line for leaf in leaves for line in leaf.unofficial)])
    data = TrainingData(_first_rows(train.dataset, recipe, spec.title), fingerprint(files), dev)
    texts = None
    if options.intervene:
        texts = dev_texts(source, spec, [leaf.language for leaf in leaves], options.intervene_rows)
    parallel = None
    if options.gradients is not None:
        parallel = parallel_rows(options.gradients, source, spec)
        check_languages(backbone, [*parallel.by_language])
    check_languages(backbone, [SOURCE_LANGUAGE, *dev, *(leaf.language for leaf in leaves)])
    return Job(_probed(backbone, recipe, probes), spec, recipe, leaves, data, files, tuple(lines), texts, parallel)


def warn_of_sample(source: Source) -> None:
    """Say where the data are the packaged toy."""
    if source.is_sample:
        logger.warning("SAMPLE data: a toy for trying the software out; the scores mean nothing")


def warn_of_unofficial(lines: Sequence[str]) -> None:
    """Say where the data are not XGLUE's."""
    if lines:
        logger.warning("UNOFFICIAL data: scores do not compare with those on XGLUE: %s", "; ".join(lines))


def _probed(backbone: Backbone, recipe: Recipe, probes: dict[int, Finding]) -> Backbone:
    """A backbone that knows which inputs may share a batch; all processes go by what the first one found."""
    length = recipe.max_length
    if length not in probes:
        probes[length] = World.current().on_main(lambda: probe_padding(backbone, length))
    return with_batch_rule(backbone, probes[length])


def compared(job: Job) -> dict[str, Backbone]:
    """The encoders that diagnostics compare with: what was trained from, and a reference where one was named.

    Raises:
        EncoderError: where the reference can't be loaded, or can't read what the encoder reads.
    """
    backbones = {"pretrained": job.backbone}
    if job.options.reference is not None:
        reference = load_backbone(job.options.reference, job.backbone.device)
        check_length(reference, job.recipe.max_length)
        check_languages(reference, [leaf.language for leaf in job.leaves])
        backbones["reference"] = _probed(reference, job.recipe, {})
    return backbones


def context_builder(
    job: Job, scored: Mapping[str, tuple[Documents, Prepared]], world: World, *, wanted: int | None
) -> ContextBuilder:
    """Choose the documents that diagnostics look at.

    Args:
        job: the job.
        scored: documents of each language by number, and the same tokenised.
        world: the processes.
        wanted: documents of each language, as for `xglue_harness.diagnostics.context.DocumentSample`.
    """

    def english() -> Dataset:
        return kind_of(job.spec).documents(job.leaves[0].source.load(job.spec, "test", SOURCE_LANGUAGE).dataset)

    return ContextBuilder(job.spec, world, scored, wanted, english)


def _dev_sets(leaves: Sequence[Leaf], recipe: Recipe) -> tuple[dict[str, Dataset], dict[str, str], list[str]]:
    """The dev sets that are scored: all that the data have, English, or none.

    Returns:
        Their documents, the sha256 of their files, and what is to be said of their numbers of rows.
    """
    spec, select, source = leaves[0].spec, leaves[0].options.select, leaves[0].source
    kind = kind_of(spec)
    asked = {"all": spec.languages, "en": (SOURCE_LANGUAGE,), "none": ()}[recipe.dev]
    there = source.available(spec, "dev") if asked else ()
    dev_sets: dict[str, Dataset] = {}
    files: dict[str, str] = {}
    lines: list[str] = []
    for language in (language for language in asked if language in there):
        loaded = source.load(spec, "dev", language)
        dataset = kind.documents(loaded.dataset)
        if any(kind.is_scored(gold) for gold in dataset[spec.label_column]):  # queries may all have one row
            dev_sets[language] = dataset
            files.update(loaded.files)
            lines += unofficial(source, spec, "dev", language, len(loaded.dataset))
    missing = [language for language in asked if language not in dev_sets]
    needed = {"en_dev": [SOURCE_LANGUAGE], "oracle": [leaf.language for leaf in leaves]}.get(select, [])
    if lacking := [language for language in needed if language in missing]:
        raise RecipeError(
            f"select {select} needs the dev set of {spec.title} in {', '.join(lacking)}, which the data do not have"
        )
    if select == "all_dev" and len(dev_sets) < 2:
        raise RecipeError(f"select all_dev needs the dev sets of {spec.title} in several languages")
    if missing:
        logger.warning("the data have no dev set of %s in %s: rules do without", spec.title, ", ".join(missing))
    return dev_sets, files, lines


def _first_rows(dataset: Dataset, recipe: Recipe, title: str) -> Dataset:
    wanted = recipe.train_limit
    if wanted is not None and wanted > len(dataset):
        logger.warning(
            "train_limit %d: English %s has only %d training rows, all are used", wanted, title, len(dataset)
        )
    return dataset if wanted is None else dataset.select(range(min(wanted, len(dataset))))
