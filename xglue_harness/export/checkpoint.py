"""Write a training as a folder that others load: weights, configuration, tokenizer, description and card."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.atomic import new_folder
from xglue_harness.data.prepare import check_new
from xglue_harness.errors import DataError, EncoderError
from xglue_harness.export.card import card
from xglue_harness.export.description import NAME, WEIGHTS, Description, Parts, Source
from xglue_harness.export.family_head import TOLERANCE, in_family_class, labelled_config
from xglue_harness.export.loading import load_exported
from xglue_harness.export.probe import largest_difference, logits_of, probe_inputs, tokens_sha256
from xglue_harness.records.provenance import versions
from xglue_harness.store.files import save_tensors

if TYPE_CHECKING:
    import torch

    from xglue_harness.export.trained import Trained
    from xglue_harness.results.run import Run


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        folder: where.
        family_class: name of transformers' class that loads it; ``None``: `xglue_harness.export.load` alone does.
        difference: the largest one between a score of the trained model and the same of what was read back.
        languages: with test scores in the card.
    """

    folder: Path
    family_class: str | None
    difference: float
    languages: tuple[str, ...]


def write(trained: Trained, folder: Path, runs: Sequence[Run]) -> Written:
    """Write a training; what was written is read back and compared before it appears.

    Args:
        trained: the model.
        folder: that is to appear; it may exist if it is empty.
        runs: its test scores, for the card; of these weights.

    Raises:
        DataError: where the folder is not empty, or can't be written; then nothing is left behind.
        EncoderError: for an encoder whose code is not transformers', and for one that is not the same when it is read
            back.
    """
    check_new(folder)
    _check_code(trained)
    in_family = in_family_class(trained)
    tokenizer = _tokenizer(trained)
    description = _describe(trained, tokenizer, None if in_family is None else Parts(**asdict(in_family[1])))
    try:
        with new_folder(folder) as inner:
            if in_family is None:
                labelled_config(trained.backbone.config, trained.spec).save_pretrained(inner)
                save_tensors(inner / WEIGHTS, _tensors(trained))
            else:
                in_family[0].save_pretrained(inner)
            tokenizer.save_pretrained(inner)
            (inner / NAME).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
            name = None if in_family is None else type(in_family[0]).__name__
            (inner / "README.md").write_text(card(trained, description, name, runs), encoding="utf-8")
            difference = _difference(trained, inner)
            _open_to_readers(inner)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}; nothing was left behind") from error
    return Written(folder, name, difference, tuple(run.language for run in runs))


def _check_code(trained: Trained) -> None:
    """Refuse an encoder whose code would have to go with it."""
    foreign = {type(module).__module__.partition(".")[0] for module in trained.model.encoder.modules()}
    if "transformers_modules" in foreign:
        raise EncoderError(
            f"{trained.backbone.name} is computed by code of its own repository (trust_remote_code), which an export "
            "does not take along: keep the training in the store"
        )


def _tokenizer(trained: Trained) -> Any:
    """A copy of the tokenizer that cuts where the recipe does, and gives segments only where the encoder reads them."""
    tokenizer = copy.deepcopy(trained.backbone.tokenizer)
    tokenizer.model_max_length = trained.recipe.max_length
    if not trained.model.reads_segments:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names  # what is saved are the latter
    return tokenizer


def _describe(trained: Trained, tokenizer: Any, parts: Parts | None) -> Description:
    from dataclasses import replace

    inputs = probe_inputs(trained.spec, replace(trained.backbone, tokenizer=tokenizer), trained.recipe.max_length)
    backbone, identity = trained.backbone, trained.identity
    return Description(
        task=trained.spec.name,
        labels=list(trained.spec.labels),
        recipe=trained.recipe,
        epoch=trained.weights.epoch,
        averaged=trained.weights.averaged,
        store_key=trained.entry.key,
        code=trained.entry.identity["code"],
        batches=backbone.batch_rule,
        backbone=Source(
            name=Path(backbone.name).name
            if Path(backbone.name).is_dir()
            else backbone.name,  # a place is nobody's business
            revision=backbone.revision,
            weights_sha256=identity.weights,
            config_sha256=identity.config,
            tokenizer_sha256=identity.tokenizer,
        ),
        family_class=parts,
        tokens_sha256=tokens_sha256(inputs),
        versions=versions(),
    )


def _tensors(trained: Trained) -> dict[str, torch.Tensor]:
    """All tensors of the model, each with memory of its own."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in trained.model.state_dict().items()}


def _open_to_readers(folder: Path) -> None:
    """Give all files the permissions of any new one (safetensors 0.8 shuts others out)."""
    mode = (folder / NAME).stat().st_mode
    for path in folder.iterdir():
        path.chmod(mode)


def _difference(trained: Trained, folder: Path) -> float:
    """Compare the model with what is read back from a folder.

    Raises:
        EncoderError: where the scores differ.
    """
    read = load_exported(folder, "cpu", "fp32")
    pad, length = trained.backbone.tokenizer.pad_token_id, trained.recipe.max_length
    before = logits_of(trained.model.cpu(), probe_inputs(trained.spec, trained.backbone, length), pad)
    after = logits_of(read.model, probe_inputs(trained.spec, read.backbone, length), pad)
    difference = largest_difference(before, after)
    if not difference <= TOLERANCE:
        raise EncoderError(
            f"{trained.backbone.name} is another model when it is read back (scores differ by {difference:.1e}): this "
            "family can't be exported; keep the training in the store"
        )
    return difference
