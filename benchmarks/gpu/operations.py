"""Operations of one training step of XLM-R base's shapes under bf16 autocast, by kind: what a host has to launch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.device_inputs import DeviceInputs
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.recipe import Options, resolve
from xglue_harness.training import static_step
from xglue_harness.training.optimisation import Optimisation
from xglue_harness.training.static_step import StaticStep

_VIEWS = (
    "view", "reshape", "transpose", "permute", "expand", "select", "slice", "unsqueeze", "squeeze", "detach", "alias",
    "as_strided", "split", "chunk", "unbind", "t.default", "empty", "is_", "_unsafe_view", "_reshape_alias",
)  # fmt: skip
_KINDS = {
    "casts": ("_to_copy",),
    "matrix products": ("mm", "bmm", "addmm", "linear"),
    "attention": ("scaled_dot_product", "_flash", "_efficient"),
    "norms": ("layer_norm",),
    "optimizer": ("_fused_adam", "_foreach"),
    "dropout": ("dropout", "bernoulli"),
    "copies": ("copy_", "clone", "cat"),
    "embeddings": ("embedding", "index", "gather", "scatter"),
    "sums": ("sum", "mean"),
}


def kind_of_operation(name: str) -> str | None:
    """What an operation of ATen does; ``None`` for views, which launch nothing."""
    plain = name.removeprefix("aten.")
    for kind, parts in _KINDS.items():
        if any(plain.startswith(part) or (kind == "matrix products" and plain.split(".")[0] == part) for part in parts):
            return kind
    if any(plain.startswith(part) for part in _VIEWS):
        return None
    return "elementwise and others"


class Counting(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names[str(func)] += 1
        return func(*args, **(kwargs or {}))


def counted(step: Callable[[], Any]) -> dict[str, Any]:
    """Operations of the second call of a step, by kind and by name."""
    step()  # the optimizer's state is made
    with Counting() as counting:
        step()
    kinds: Counter[str] = Counter()
    for name, number in counting.names.items():
        kind = kind_of_operation(name)
        if kind is not None:
            kinds[kind] += number
    names = dict(counting.names.most_common())
    return {"operations": kinds.total(), "kinds": dict(kinds.most_common()), "names": names}


def build(layers: int) -> TransferModel:
    """XLM-R with random weights. The number of operations does not depend on the width, so that layers are narrow."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    sizes = {"hidden_size": 96, "num_attention_heads": 12, "intermediate_size": 384, "vocab_size": 1000}
    config = XLMRobertaConfig(num_hidden_layers=layers, max_position_embeddings=514, **sizes)
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    return TransferModel(encoder, 3, tagging=False, pooling="first").train()


def eager(layers: int = 12, rows: int = 2, length: int = 40) -> Callable[[], None]:
    """A step as any script takes it: autocast, backward, clipping, fused AdamW."""
    model = build(layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    ids = torch.randint(5, 1000, (rows, length))
    labels = torch.zeros(rows, dtype=torch.long)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(ids, torch.ones_like(ids), labels=labels)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def static(layers: int = 12, rows: int = 2, length: int = 40) -> Callable[[], None]:
    """Our step as a graph records it, with the kernels of a GPU: torch's own dropout and attention."""
    model = build(layers)
    options = Options(batch_size=rows, dev="none")
    recipe = resolve(options, TASKS["xnli"], seed=1, precision="bf16", pooling="first")
    cpu, zeros = torch.device("cpu"), torch.zeros(rows, dtype=torch.int32)
    ids = torch.randint(5, 1000, (rows * length,), dtype=torch.int32)
    inputs = Inputs(ids, torch.arange(rows + 1) * length, zeros, zeros.bool(), zeros)
    taken = StaticStep(
        model,
        recipe,
        DeviceInputs(inputs, 1, cpu),
        Optimisation(model, recipe, 100, on_device=True),
        words_per_batch=None,
        device=cpu,
        finished_mask=True,
    )
    taken.load(list(range(rows)), 1)

    def step() -> None:
        with patch.object(static_step, "training_kernels", lambda _: nullcontext()):
            taken.run(length)
        taken.clear()

    return step


def main() -> None:
    """Print a table of both."""
    sides = {"eager": counted(eager()), "ours": counted(static())}
    print("Operations of a step of 12 layers in bf16 on a CPU, where attention is a chain of them; views left out")
    kinds = dict.fromkeys(kind for side in sides.values() for kind in side["kinds"])
    rows = [("", list(sides)), *((kind, [side["kinds"].get(kind, 0) for side in sides.values()]) for kind in kinds)]
    for name, cells in [*rows, ("all", [side["operations"] for side in sides.values()])]:
        print(f"{name:24}" + "".join(f"{cell:>10}" for cell in cells))
    for name, side in sides.items():
        print(f"{name}: " + ", ".join(f"{one} {number}" for one, number in list(side["names"].items())[:14]))


if __name__ == "__main__":
    main()
