"""What lm-eval's own ``--model hf`` lacks for encoders (see `xglue_harness.harness.patches`).

Imports nothing heavy: it is imported with the tasks, long before any model is asked for.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xglue_harness.exclusive import one_thread
from xglue_harness.harness.processes import prepare_multiprocess

if TYPE_CHECKING:
    from xglue_harness.encoders.loading import Checkpoint
    from xglue_harness.harness.language_model import Function

logger = logging.getLogger(__name__)


class Body:
    """In the place of an Auto class: a model without a head, and without the pooler that no checkpoint may have."""

    @staticmethod
    def from_pretrained(pretrained: str, **arguments: Any) -> Any:
        """As ``AutoModel.from_pretrained``."""
        from transformers import AutoConfig, AutoModel

        from xglue_harness.encoders.loading import without_pooler

        hub = {key: arguments[key] for key in ("revision", "subfolder", "trust_remote_code") if key in arguments}
        config = AutoConfig.from_pretrained(pretrained, **hub)
        return AutoModel.from_pretrained(pretrained, **without_pooler(config), **arguments)


def loading_encoders(original: Function) -> Function:
    """Of ``HFLM._get_backend``: families without a causal head (ModernBERT, DeBERTa-v2, ...) are loaded, too."""

    def _get_backend(self: Any, config: Any, *args: object, **kwargs: object) -> None:
        from transformers import MODEL_MAPPING, AutoModel, AutoModelForCausalLM

        from xglue_harness.encoders.loading import language_model

        original(self, config, *args, **kwargs)
        remote = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
        chosen = self.AUTO_MODEL_CLASS is AutoModelForCausalLM and language_model(config) is AutoModel
        if chosen and not remote and type(config) in MODEL_MAPPING:
            logger.warning(
                "%s has no language-modelling head here: it can do the xglue_* tasks only", config.model_type
            )
            self.AUTO_MODEL_CLASS = Body

    return _get_backend


def _options() -> frozenset[str]:
    """Options of our tasks: lm-eval hands arguments of the model to the tasks, too, and transformers knows none."""
    from xglue_harness.recipe import Options

    return frozenset(Options.model_fields) - {"dropout"}  # which some configurations have


def _checkpoint(asked: Mapping[str, object]) -> Checkpoint | None:
    """The checkpoint that was asked for; ``None`` where a model was given that is built already, or in another form."""
    from xglue_harness.encoders.loading import Checkpoint

    name, revision, subfolder = asked.get("pretrained"), asked.get("revision", "main"), asked.get("subfolder", "")
    if not all(isinstance(part, str) for part in (name, revision, subfolder)) or asked.get("gguf_file"):
        return None
    return Checkpoint(str(name), str(revision), str(subfolder), asked.get("trust_remote_code") is True)


def _refuse_what_is_too_large(asked: Mapping[str, object]) -> None:
    """Refuse sizes that would take terabytes, before they do; all else is `HFLM`'s to say."""
    from transformers import AutoConfig

    from xglue_harness.encoders.sizes import check_sizes

    checkpoint = _checkpoint(asked)
    if checkpoint is None:
        return
    try:
        config = AutoConfig.from_pretrained(checkpoint.name, **checkpoint.arguments)
    except Exception:
        return
    check_sizes(config, checkpoint.name)


def _reason(asked: Mapping[str, object], error: Exception) -> Exception | None:
    """Our word for what kept ``hf`` from loading a checkpoint; ``None`` where lm-eval's own has to do."""
    from xglue_harness.encoders.backbone import is_decoder_only
    from xglue_harness.encoders.checks import device_of
    from xglue_harness.encoders.loading import explained, load_config, load_tokenizer
    from xglue_harness.errors import EncoderError
    from xglue_harness.harness.model_arguments import check_strings

    try:
        check_strings(asked)
        checkpoint = _checkpoint(asked)
        if checkpoint is None:
            return None
        config = load_config(checkpoint)
        if is_decoder_only(config) or asked.get("backend", "default") != "default":
            return None
        if asked.get("tokenizer") is None:
            load_tokenizer(checkpoint)
        device = asked.get("device")
        if isinstance(device, str) and not device.startswith("cuda"):
            device_of(device)
        with explained(checkpoint.name, "weights"):
            raise error
    except EncoderError as reason:
        return reason


def making(original: Function) -> Function:
    """Of ``HFLM.__init__``: know the rank wherever it is one of several processes, and say what keeps it from loading.

    lm-eval 0.4.13 sets rank and world size only where a machine has several GPUs; on CPUs, or with one GPU a machine,
    every process would score everything. Over several machines it takes the rank within the machine for the rank.
    """

    def __init__(self: Any, *args: object, **kwargs: object) -> None:  # noqa: N807
        from xglue_harness.harness.model_arguments import made_with

        prepare_multiprocess()
        known = inspect.signature(original).parameters
        options = [name for name in kwargs if name not in known and name in _options()]
        kwargs = {name: value for name, value in kwargs.items() if name not in options}
        given = inspect.signature(original).bind_partial(self, *args, **kwargs).arguments
        asked = {**given.pop("kwargs", {}), **given}
        _refuse_what_is_too_large(asked)
        try:
            with one_thread():  # weights that a checkpoint lacks are drawn
                original(self, *args, **kwargs)
        except Exception as error:
            if (reason := _reason(asked, error)) is not None:
                raise reason from error
            raise
        made_with(self).adapter = asked.get("peft")
        accelerator = getattr(self, "accelerator", None)  # only there with several processes
        if accelerator is not None:
            self._rank, self._world_size = accelerator.process_index, accelerator.num_processes

    return __init__
