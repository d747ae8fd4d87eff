"""All that a run will need is tried on next to nothing, before a training that may take hours.

What fails here fails for nothing; after the training it would have failed for all of it.
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.diagnostics.context import LEAST, Documents, bare_model
from xglue_harness.diagnostics.epochs import Epoch, EpochModels
from xglue_harness.diagnostics.run import diagnose
from xglue_harness.encoders.checks import is_larger
from xglue_harness.encoders.trimmed_embedding import why_not_trimmable
from xglue_harness.encoders.unknown import unknown_shares, warn
from xglue_harness.errors import DataError, StoreError
from xglue_harness.files import cache_root, nearest_existing, no_room
from xglue_harness.interventions.run import Scored, intervene
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import Prepared, predict, prepare
from xglue_harness.records.converted import converted_from
from xglue_harness.store.room import epoch_bytes, working_bytes
from xglue_harness.store.token_cache import encoder_inputs
from xglue_harness.store.trainings import Entry, Store
from xglue_harness.training.distributed import World
from xglue_harness.training.finetune import answers, training_key
from xglue_harness.transfer.job import compared, context_builder

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.fingerprint import Identity
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.transfer.job import Job
    from xglue_harness.transfer.leaf import Leaf

logger = logging.getLogger(__name__)

_ROWS = 2
"""Documents of each language that are predicted."""
_READ = 50
"""Documents of each task and language whose subwords are looked at for unknown ones."""


def try_out(identity: Identity, job: Job) -> Entry | None:
    """Try whatever comes after a training: predictions of each language, diagnostics, the places that are written to.

    A training that lies in the store has nothing to lose: only its predictions are tried.

    Args:
        identity: hashes of the backbone.
        job: what will be done.

    Returns:
        The training, where it lies in the store; its files have been checked.

    Raises:
        EncoderError: where the encoder can't read some of the text, or says of its origin what no converter wrote.
        DataError: where a cache can't be written.
        StoreError: where the store can't be written, or its disk has no room for the training.
        RecipeError: where a diagnostic fails.
        TrainingError: where the pretrained encoder's scores are not finite.
    """
    backbone, spec, recipe, world = job.backbone, job.spec, job.recipe, World.current()
    converted_from(backbone.config)  # which goes into the record
    store = Store()
    key = training_key(backbone, identity, recipe, job.data)
    entry = world.on_main(lambda: store.find(key))
    if entry is not None and not answers(entry, job.options.select, keep_all=job.options.keep_epochs == "all"):
        entry = None  # it will be trained again
    diagnosed = bool(job.options.diagnostics) and entry is None
    _check_texts(job)
    few: dict[str, tuple[Documents, Prepared]] = {}
    for leaf in job.leaves:
        documents = dict(islice(leaf.documents.items(), LEAST if diagnosed else _ROWS))
        few[leaf.language] = documents, prepare(backbone, spec, recipe, list(documents.values()), leaf.language)
    model = bare_model(backbone, spec, recipe.pooling)
    builder = context_builder(job, few, world, wanted=LEAST) if diagnosed else None
    parts = [prepared for _, prepared in few.values()]
    predict(model, backbone, recipe, parts, progress=False, recorder=None if builder is None else builder.recorder)
    if job.texts is not None and entry is None:
        _try_interventions(job, model, few, world)
    if "trajectory" in job.options.diagnostics and entry is None and job.options.keep_epochs != "all":
        logger.warning(
            "%s: trajectory will see the epochs that rules of select lead to, for the store keeps the weights of no "
            'others; "keep_epochs": "all" keeps all',
            spec.title,
        )
    if builder is not None:
        epochs = EpochModels([Epoch(epoch, {}, {}) for epoch in _last_epochs(recipe.epochs)], lambda _: model)
        diagnose(job.options.diagnostics, builder.build(recipe, model, compared(job), epochs))
    if entry is None:
        world.on_main(lambda: _check_room(store, key, job))
    world.on_main(
        lambda: check_writable(cache_root() / "predictions", "set XGLUE_CACHE to a folder that can be written")
    )
    return entry


def _last_epochs(epochs: float) -> list[float]:
    """The last two of so many epochs, or the only one."""
    return [*([math.ceil(epochs) - 1.0] if epochs > 1 else []), epochs]


def _try_interventions(
    job: Job, model: TransferModel, few: Mapping[str, tuple[Documents, Prepared]], world: World
) -> None:
    """Change the states of a few documents."""
    assert job.texts is not None
    golds = {
        language: [document[job.spec.label_column] for document in rows.values()] for language, (rows, _) in few.items()
    }
    scored = {language: Scored(few[language][1], own, own) for language, own in golds.items()}
    intervene(job.options, model, job.backbone, job.recipe, job.spec, job.texts.first(LEAST), scored, world)


def _check_texts(job: Job) -> None:
    """Look at the ids of all texts, where the tokenizer has any that the encoder's table has no row for.

    What is tokenised for it is kept, and `prepare` looks at all that it gives.
    """
    if is_larger(job.backbone.encoder, job.backbone.tokenizer):
        tokenise(job)


def tokenise(job: Job, *, progress: bool = False) -> None:
    """Tokenise all texts of a job, whose tokens are kept in the cache.

    Args:
        job: with all of its leaves' documents.
        progress: show a bar where it takes long.

    Raises:
        DataError: where the cache can't be written.
        EncoderError: for ids that the encoder has no row for.
    """
    backbone, spec, recipe = job.backbone, job.spec, job.recipe
    train = f"{spec.title}, training set"
    length = recipe.max_length
    encoder_inputs(backbone, spec, job.data.train, SOURCE_LANGUAGE, length, what=train, progress=progress)
    for language, documents in job.data.dev.items():
        prepare(backbone, spec, recipe, documents, language, progress=progress)
    for leaf in job.leaves:
        prepare(backbone, spec, recipe, list(leaf.documents.values()), leaf.language, progress=progress)


def warn_of_unknown(backbone: Backbone, leaves: Iterable[Leaf]) -> None:
    """Say once, for all tasks, in which languages the tokenizer reads much of the test sets' text as unknown.

    It looks at the first documents; records of a fine-tuning have the share of all.

    Args:
        backbone: encoder and tokenizer.
        leaves: the languages to predict, of any tasks.
    """
    if not World.current().is_main_process:
        return
    texts: dict[str, list[str]] = {}
    for leaf in leaves:
        kind = kind_of(leaf.spec)
        documents = islice(leaf.documents.values(), _READ)
        rows = islice((row for document in documents for row in kind.rows_of(document)), _READ)
        texts.setdefault(leaf.language, []).extend(map(kind.row_text, rows))
    warn(backbone.name, unknown_shares(backbone.tokenizer, texts))


def _check_room(store: Store, key: str, job: Job) -> None:
    """Refuse a store that can't be written, or has less room than the least that a training takes."""
    try:
        check_writable(store.root, "set XGLUE_STORE to a folder that can be written")
    except DataError as error:
        raise StoreError(str(error)) from None
    encoder = job.backbone.encoder
    numbers = sum(parameter.numel() for parameter in encoder.parameters())
    if why_not_trimmable(encoder, job.recipe.weight_decay) is None:  # of the embedding table only some rows are trained
        numbers -= encoder.get_input_embeddings().weight.numel()  # type: ignore[operator]
    working = store.working_folder(key)
    held = sum(path.stat().st_size for path in working.glob("*") if path.is_file()) if working.is_dir() else 0
    others = math.ceil(job.recipe.epochs) - 1 if job.options.keep_epochs == "all" else 0
    needed, free = (
        working_bytes(numbers, job.recipe.epochs) + others * epoch_bytes(numbers),
        shutil.disk_usage(nearest_existing(store.root.expanduser())).free + held,
    )
    if free < needed:
        raise StoreError(
            f"{store.root} has {free / 1e9:.1f} GB left, and training {job.backbone.name} takes {needed / 1e9:.1f} GB "
            "or more there (checkpoints, and the weights of an epoch): make room (`xglue-harness store prune`), or set "
            "XGLUE_STORE"
        ) from no_room()


def check_writable(folder: Path, way_out: str) -> None:
    """Refuse a folder that can't be written or made; nothing is left behind, and it is not made.

    Raises:
        DataError: naming the folder.
    """
    place = nearest_existing(folder.expanduser())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise DataError(f"{folder} can't be written ({error.strerror or error}): {way_out}") from None


def check_outputs(paths: Sequence[str]) -> None:
    """Refuse lm-eval's ``--output_path`` where results could not be written: it would say so after the run.

    Raises:
        DataError: naming the path.
    """
    for path in map(Path, paths):
        check_writable(path.parent if path.suffix == ".json" else path, "choose another --output_path")
