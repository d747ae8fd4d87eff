"""Operations of one training step of XLM-R base's shapes under bf16 autocast, by kind: what a host has to launch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

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


def count(rows: int = 2, length: int = 40, layers: int = 12) -> dict[str, Any]:
    """Count the operations of one training step: forward, backward, clipping, AdamW.

    The number does not depend on how wide the layers are, so that narrow ones are counted.

    Args:
        rows: of the batch.
        length: subwords of each.
        layers: of the encoder; XLM-R base has 12.
    """
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from xglue_harness.encoders.heads import TransferModel

    sizes = {"hidden_size": 96, "num_attention_heads": 12, "intermediate_size": 384, "vocab_size": 1000}
    config = XLMRobertaConfig(num_hidden_layers=layers, max_position_embeddings=514, **sizes)
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    model = TransferModel(encoder, 3, tagging=False, pooling="first").train()
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


def main() -> None:
    """Print the table."""
    counted = count()
    print(
        f"{counted['operations']} operations in an eager step of 12 layers under bf16 autocast on a CPU, views left out"
    )
    for kind, number in counted["kinds"].items():
        print(f"{number:6}  {kind}")
    print("most frequent: " + ", ".join(f"{name} {number}" for name, number in list(counted["names"].items())[:15]))


if __name__ == "__main__":
    main()
