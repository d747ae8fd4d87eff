"""Whether bf16 pays on this processor: two products of an encoder's size, timed once and remembered.

A precision is a part of a recipe and of its training's key: what else the machine does must not decide it anew in each
run. So one thread computes (several would wait for one another on busy cores), its CPU time counts, the best of several
turns is taken, and the answer is kept in the cache, for this processor and this version of torch.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from xglue_harness.atomic import replacing
from xglue_harness.exclusive import locked
from xglue_harness.files import cache_root, read_json, unwritable_cache

_ENOUGH = 2.0
"""How many times as fast bf16 products must be: weights and gradients are cast, and the rest of a step stays."""

_ROWS, _INPUTS, _OUTPUTS = 512, 384, 1536
_SECONDS = 0.15
_LEAST_TURNS = 3
_FLAGS = ("amx_bf16", "avx512_bf16")
_VERSION = 1  # raised when something else is measured


class Bf16Gain(BaseModel):
    """How many times as fast as in fp32 products are in bf16 on this processor."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    forward: Annotated[float, Field(gt=0, allow_inf_nan=False, description="inputs times weights")]
    backward: Annotated[float, Field(gt=0, allow_inf_nan=False, description="gradients, transposed, times inputs")]

    @property
    def better(self) -> Literal["bf16", "fp32"]:
        """In which of them training and evaluation are faster."""
        return "bf16" if min(self.forward, self.backward) >= _ENOUGH else "fp32"

    def __str__(self) -> str:
        return f"{self.forward:.1f} (forward) and {self.backward:.1f} times (backward) as fast as in fp32"


def processor() -> str:
    """The processor's name, as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or "unknown"


def bf16_gain() -> Bf16Gain | None:
    """The gain on this processor, measured now if that was not done before; ``None``: it has no bf16 arithmetic.

    Raises:
        DataError: if the cache can't be written.
    """
    if not _flags():
        return None
    path = _path()
    try:
        with locked(path.with_suffix(".lock"), "another process measures whether bf16 pays: this one waits for it"):
            kept = known_bf16_gain()
            if kept is None:
                kept = _measured()
                with replacing(path) as file:
                    file.write_text(kept.model_dump_json(), encoding="utf-8")
    except OSError as error:
        raise unwritable_cache(path.parent, error) from error
    return kept


def known_bf16_gain() -> Bf16Gain | None:
    """The gain that was measured before; ``None``: it was not, or what was kept can't be read."""
    try:
        return Bf16Gain.model_validate(read_json(_path()))
    except (OSError, ValueError):
        return None


def _path() -> Path:
    facts = json.dumps([_VERSION, processor(), _flags(), metadata.version("torch")])
    return cache_root() / "bf16" / f"{hashlib.sha256(facts.encode()).hexdigest()}.json"


def _flags() -> list[str]:
    """What of bf16 arithmetic the processor has."""
    flags = _cpuinfo("flags").split()
    return [flag for flag in _FLAGS if flag in flags]


def _cpuinfo(entry: str) -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == entry:
                return value.strip()
    return ""


def _measured() -> Bf16Gain:
    """Time the products in turn, for about 0.2 s in all."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        best = _best_times(_products())
    finally:
        torch.set_num_threads(threads)
    return Bf16Gain(
        forward=round(best["forward fp32"] / best["forward bf16"], 2),
        backward=round(best["backward fp32"] / best["backward bf16"], 2),
    )


def _products() -> dict[str, Callable[[], object]]:
    import torch

    products: dict[str, Callable[[], object]] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        inputs, weights = torch.ones(_ROWS, _INPUTS, dtype=dtype), torch.ones(_OUTPUTS, _INPUTS, dtype=dtype)
        gradients = torch.ones(_ROWS, _OUTPUTS, dtype=dtype)
        products[f"forward {name}"] = lambda x=inputs, w=weights: x @ w.t()  # type: ignore[misc]
        products[f"backward {name}"] = lambda g=gradients, x=inputs: g.t() @ x  # type: ignore[misc]
    return products


def _best_times(products: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    for product in products.values():  # oneDNN compiles them
        product()
    best = dict.fromkeys(products, float("inf"))
    began, turns = time.perf_counter(), 0
    while turns < _LEAST_TURNS or time.perf_counter() - began < _SECONDS:
        for name, product in products.items():
            best[name] = min(best[name], _cpu_seconds(product))
        turns += 1
    return best


def _cpu_seconds(act: Callable[[], object]) -> float:
    """Of this thread, so that waiting for a core does not count."""
    began = time.thread_time()
    act()
    return time.thread_time() - began
