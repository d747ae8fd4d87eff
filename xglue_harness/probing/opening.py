"""From a checkpoint to the frozen encoder that is meant by it, for the command and for lm-eval.

So both read the same texts, as long and pooled alike, and give the same numbers.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from xglue_harness.encoders.probe import position_limit
from xglue_harness.errors import EncoderError
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.sentence_models import pooling_of, steps_of

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone


def check_packages() -> None:
    """Refuse to go on without scikit-learn, which fits the probes: before states are computed, not after.

    Raises:
        EncoderError: naming the extra.
    """
    if find_spec("sklearn") is None:
        raise EncoderError("probes need scikit-learn, which is not installed: pip install 'xglue-harness[probe]'")


def frozen_encoder(backbone: Backbone, name: str, *, pooling: str, max_length: int, progress: bool) -> FrozenEncoder:
    """A frozen encoder, pooled as its checkpoint says where the user does not.

    Args:
        backbone: encoder and tokenizer.
        name: of the checkpoint: Hub id (``@revision``) or folder; a model of sentence-transformers runs as itself.
        pooling: of a text's subwords; ``auto``: what the checkpoint says, else the mean.
        max_length: most subwords of a text; fewer where the encoder can't read as many.
        progress: show bars.

    Raises:
        EncoderError: where the encoder can't be used, or a package is missing that its modules need.
    """
    return FrozenEncoder(
        backbone,
        pooling=pooling_of(name, pooling),
        max_length=min(max_length, position_limit(backbone, max_length) or max_length),
        steps=steps_of(name, backbone.device) if pooling == "auto" else None,
        progress=progress,
    )
