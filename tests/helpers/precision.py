"""Tests compute in fp32 on any processor, unless they ask for something else."""

from __future__ import annotations

from xglue_harness.encoders import cpu_precision


def keep_no_bf16_gain() -> None:
    """Put into the cache, wherever it is now, that bf16 does not pay on this processor."""
    path = cpu_precision._path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(cpu_precision.Bf16Gain(forward=1.0, backward=1.0).model_dump_json(), encoding="utf-8")
