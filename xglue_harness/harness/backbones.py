"""The encoder that a run would train, loaded as lm_eval loads it, but without a run."""

from __future__ import annotations

from collections.abc import Mapping

from xglue_harness.encoders.backbone import Backbone
from xglue_harness.harness.plugin import register
from xglue_harness.harness.requests import backbone_of


def load_as_lm_eval(model: str, arguments: Mapping[str, object] | str, *, device: str = "cpu") -> Backbone:
    """Encoder, tokenizer and configuration, fetched from the Hub where they are not in its cache.

    Args:
        model: lm_eval's ``--model``.
        arguments: its ``--model_args``, as it reads them from the command line or by name.
        device: where the weights go.

    Raises:
        EncoderError: where the checkpoint can't be had, or can't be fine-tuned.
    """
    register()
    from lm_eval.api.registry import get_model

    family, more = get_model(model), {"device": device}
    if isinstance(arguments, str):
        return backbone_of(family.create_from_arg_string(arguments, more))
    return backbone_of(family.create_from_arg_obj(dict(arguments), more))
