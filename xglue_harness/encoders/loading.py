"""Loading the encoder of a checkpoint, and no more than the encoder.

Of a sequence-to-sequence checkpoint neither decoder nor language-modelling head is built, and transformers reads from
the files only what the model has: the memory and time of loading are those of the encoder. No weight is ever left at
its random start: one that the checkpoint lacks is an error.
"""

from __future__ import annotations

import inspect
import logging
import math
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xglue_harness.encoders.backbone import (
    Backbone,
    check_tokenizer,
    check_trainable,
    encoder_of,
    has_decoder,
    refuse_decoder_only,
)
from xglue_harness.encoders.checks import check_finite, check_padding
from xglue_harness.encoders.sizes import check_sizes
from xglue_harness.errors import EncoderError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Where configuration, weights and tokenizer lie, in transformers' terms."""

    name: str
    revision: str = "main"
    subfolder: str = ""
    trust_remote_code: bool = False

    @classmethod
    def of(cls, name: str) -> Checkpoint:
        """A folder, or a Hub id with ``@revision`` behind it where another than ``main`` is meant."""
        plain, _, revision = name.rpartition("@")
        return cls(plain, revision) if plain and not Path(name).exists() else cls(name)

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of every ``from_pretrained``."""
        return {"revision": self.revision, "subfolder": self.subfolder, "trust_remote_code": self.trust_remote_code}


def load_backbone(name: str, device: torch.device) -> Backbone:
    """Encoder, tokenizer and configuration of a checkpoint, in fp32 and evaluation mode.

    Args:
        name: as for `Checkpoint.of`.
        device: where the encoder goes.

    Raises:
        EncoderError: where one of them can't be loaded.
    """
    checkpoint = Checkpoint.of(name)
    config = load_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    encoder = load_encoder(checkpoint, config).float().to(device).eval()
    check_trainable(encoder)
    check_padding(encoder, tokenizer)
    commit = commit_of(config, checkpoint.name, checkpoint.revision)
    return Backbone(encoder, tokenizer, config, device, checkpoint.name, commit)


def load_config(checkpoint: Checkpoint) -> Any:
    """Configuration of a checkpoint.

    Raises:
        EncoderError: where there is no such checkpoint, or its configuration can't be read, or names sizes that no
            encoder has.
    """
    from transformers import AutoConfig

    with explained(checkpoint.name, "configuration"):
        config = AutoConfig.from_pretrained(checkpoint.name, **checkpoint.arguments)
        check_sizes(config, checkpoint.name)
        return config


def commit_of(config: Any, name: str, revision: str | None) -> str | None:
    """Commit on the Hub that a loaded checkpoint is of.

    Older transformers note it in the configuration; newer ones (5.23) don't, and it is the name of the folder in the
    Hub's cache that the configuration lies in.

    Args:
        config: its configuration.
        name: Hub id or folder.
        revision: branch, tag or commit that was asked for; ``None``: the main branch.

    Returns:
        40 hex digits; ``None`` for a folder, and for a cache elsewhere.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if noted := getattr(config, "_commit_hash", None):
        return str(noted)
    if Path(name).is_dir():
        return None
    try:
        path = try_to_load_from_cache(name, "config.json", revision=revision or "main")
    except HFValidationError:  # no Hub id
        return None
    return Path(path).parent.name if isinstance(path, str) else None


def load_tokenizer(checkpoint: Checkpoint, *, use_fast: bool = True) -> Any:
    """Tokenizer of a checkpoint.

    Raises:
        EncoderError: where it has none, or none that can pad.
    """
    from transformers import AutoTokenizer

    with explained(checkpoint.name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.name, use_fast=use_fast, **checkpoint.arguments)
        check_tokenizer(tokenizer)
    return tokenizer


def load_encoder(
    checkpoint: Checkpoint, config: Any, *, dtype: str | torch.dtype = "auto", **arguments: Any
) -> nn.Module:
    """Encoder of a checkpoint, on the CPU and in evaluation mode.

    Its weights have the names and values that they have in the whole model (`encoder_of`). From a safetensors file they
    are mapped, not copied, where their type stays as it is stored.

    Args:
        checkpoint: where the weights lie.
        config: its configuration.
        dtype: type of the weights; ``auto`` as stored.
        arguments: passed on to ``from_pretrained``.

    Raises:
        EncoderError: for a decoder-only model (from its configuration alone), weights that are missing, of another
            shape, damaged, not finite or pickled with code, and whatever else keeps the checkpoint from being loaded.
    """
    from transformers import MODEL_MAPPING, AutoModel

    refuse_decoder_only(config)
    arguments = {"config": config, "dtype": dtype, **checkpoint.arguments, **arguments}
    family = MODEL_MAPPING.get(type(config), None)  # None where the code is the checkpoint's own
    if has_decoder(config) and isinstance(family, type):
        model, lacking = _load(without_decoder(family), checkpoint, arguments)
        if not lacking:
            encoder = encoder_of(model)
            check_finite(encoder, checkpoint.name)
            return encoder
        # The embeddings may lie under the name of a decoder or head that they are tied to.
        logger.info("%s: %s is not stored under the encoder's names, the whole model is read", checkpoint.name, lacking)
        model, lacking = _load(language_model(config), checkpoint, arguments)
    else:
        model, lacking = _load(AutoModel, checkpoint, {**without_pooler(config), **arguments})
    refuse_random(checkpoint, lacking)
    encoder = encoder_of(model)
    check_finite(encoder, checkpoint.name)
    return encoder


def load_whole(checkpoint: Checkpoint, config: Any, *, dtype: str | torch.dtype = "auto", **arguments: Any) -> Any:
    """The model with all that lm-eval's ``hf`` loads: what adapters are trained on.

    Raises:
        EncoderError: as `load_encoder`.
    """
    from transformers import AutoModel

    refuse_decoder_only(config)
    arguments = {"config": config, "dtype": dtype, **checkpoint.arguments, **arguments}
    family = language_model(config)
    if family is AutoModel:
        arguments = {**without_pooler(config), **arguments}
    model, lacking = _load(family, checkpoint, arguments)
    refuse_random(checkpoint, lacking)
    return model


def _load(family: Any, checkpoint: Checkpoint, arguments: dict[str, Any]) -> tuple[Any, list[str]]:
    """A model, and names of its encoder's weights that the checkpoint does not give."""
    if not arguments.get("weights_only", True):
        raise EncoderError("weights_only=False would run code that a .bin file holds: leave it out")
    with explained(checkpoint.name, "weights"):
        model, report = family.from_pretrained(checkpoint.name, **arguments, output_loading_info=True)
    wrong = report["missing_keys"] | {name for name, *_ in report["mismatched_keys"]}
    encoder = encoder_of(model)
    place = next(name for name, module in model.named_modules() if module is encoder)
    start = f"{place}." if place else ""
    names = [name.removeprefix(start) for name in wrong if name.startswith(start)]
    layers = getattr(encoder.config, "num_hidden_layers", None)
    if idle := [name for name in report["unexpected_keys"] if _layer(name) >= (layers or math.inf)]:
        logger.warning(
            "%s: config.json has num_hidden_layers %s, and the files hold more layers, which are not used (%s)",
            checkpoint.name,
            layers,
            min(idle),
        )
    return model, sorted(name for name in names if not name.startswith("pooler."))  # which no head of ours reads


def _layer(name: str) -> int:
    """Number of the layer that a weight is of, from 0; -1 for one that is of none."""
    match = re.search(r"(?:^|\.)(?:layers?|block|h)\.(\d+)\.", name)
    return int(match[1]) if match else -1


def refuse_random(checkpoint: Checkpoint, lacking: list[str]) -> None:
    """Stop before weights that no training has seen are taken for pretrained ones."""
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise EncoderError(
            f"{checkpoint.name} lacks weights of its encoder ({shown}): they would be random. Is it a checkpoint of "
            "this architecture, complete, and saved by transformers?"
        )


def language_model(config: Any) -> Any:
    """The Auto class that lm-eval's ``hf`` loads a family with (`xglue_harness.harness.hf` adds the last one)."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    if has_decoder(config):
        return AutoModelForSeq2SeqLM
    return AutoModelForCausalLM if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else AutoModel


def without_pooler(config: Any) -> dict[str, bool]:
    """Keyword for BERT's kin: their pooler is not used here, and is random where the checkpoint has none."""
    from transformers import MODEL_MAPPING

    family = MODEL_MAPPING.get(type(config), None)
    has_one = isinstance(family, type) and "add_pooling_layer" in inspect.signature(family).parameters
    return {"add_pooling_layer": False} if has_one else {}


def without_decoder(family: type) -> Any:
    """A class of sequence-to-sequence models that drops its decoder as soon as it is built.

    transformers builds models without memory and fills in what the files hold for the modules that are there. All else
    stays the family's own: names, tied embeddings, conversions of old formats.
    """

    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:  # noqa: N807
        super(reduced, self).__init__(*arguments, **keywords)
        decoder = self.get_decoder()
        for name in [name for name, child in self.named_children() if child is decoder]:
            setattr(self, name, None)
            self.all_tied_weights_keys = {
                target: source
                for target, source in self.all_tied_weights_keys.items()
                if not target.startswith(f"{name}.") and not source.startswith(f"{name}.")
            }

    members = {"__init__": __init__, "__module__": family.__module__, "_keys_to_ignore_on_load_unexpected": ["."]}
    reduced: Any = type(family.__name__, (family,), members)
    return reduced


_FILES = {
    "configuration": "config.json",
    "tokenizer": "tokenizer.json, tokenizer_config.json, ...",
    "weights": "model.safetensors or its kin, built as config.json says",
    "adapter": "adapter_config.json, adapter_model.safetensors",
}
"""Where each part of a checkpoint lies."""


@contextmanager
def explained(name: str, what: str) -> Iterator[None]:
    """Turn whatever keeps a part of a checkpoint from being loaded into one error that says what to do."""
    from safetensors import SafetensorError

    try:
        yield
    except EncoderError:
        raise
    except (SafetensorError, EOFError) as error:
        raise _refusal(name, what, error, "the file is damaged or incomplete: fetch it again") from None
    except pickle.UnpicklingError:
        cause = "its .bin file holds more than tensors (such a file can run any code), or is damaged"
        raise EncoderError(
            f"the {what} of {name} can't be loaded: {cause}. Use a checkpoint in safetensors format"
        ) from None
    except Exception as error:  # damaged files raise almost anything: ZeroDivisionError, tokenizers' Exception
        raise _refusal(name, what, error, _way_out(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # tokenizers' Rust, where a file is not as it expects
            raise
        raise _refusal(name, what, error, _way_out(error)) from None


def _refusal(name: str, what: str, error: BaseException, way_out: str) -> EncoderError:
    logger.debug("loading the %s of %s", what, name, exc_info=error)
    cause = " ".join(str(error).split())
    cause = cause if len(cause) <= 400 else f"{cause[:400]}..."
    files = f"{_FILES[what]}: " if what in _FILES else ""
    return EncoderError(f"the {what} of {name} can't be loaded: {type(error).__name__}: {cause} [{files}{way_out}]")


def _way_out(error: BaseException) -> str:
    if "trust_remote_code" in str(error):
        return "if you trust the code in the repository, set trust_remote_code=True"
    if isinstance(error, OSError):
        return "give an existing folder, or a Hub id that can be reached or lies in the cache (subfolder, revision)"
    if isinstance(error, ImportError):
        return "install the package that is named"
    return "see that the checkpoint is there (subfolder, revision), complete, and fits this version of transformers"
