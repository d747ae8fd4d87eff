"""What a checkpoint says of where it was converted from."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from xglue_harness.errors import EncoderError
from xglue_harness.records.parts import ConvertedFrom
from xglue_harness.untrusted.problems import problems_of


def converted_from(config: Any) -> ConvertedFrom | None:
    """What the configuration of a checkpoint says of its origin; ``None`` where it says nothing.

    Args:
        config: as transformers loads it.

    Raises:
        EncoderError: where it says something that `xglue_harness.conversion` did not write.
    """
    noted = getattr(config, "xglue_converted_from", None)
    if noted is None:
        return None
    try:
        return ConvertedFrom.model_validate(noted, strict=True)
    except ValidationError as error:
        raise EncoderError(
            f"{config.name_or_path}: config.json: xglue_converted_from: {problems_of(error)}: convert the original "
            "again with 'xglue-harness backbone convert'"
        ) from None
