"""What a GPU would have to be waited for, seen on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_LOOK = {
    "aten::_local_scalar_dense",  # item(), int(), float(), if
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
}


class Waiting(TorchDispatchMode):
    """Notes, while it is entered, each operation whose outcome the host would have to wait for.

    A single random number is the host's own, on a GPU, too: older releases of transformers draw one and compare it with
    the rate of LayerDrop, for each layer, even at a rate of 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._before = ["", ""]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name
        chosen = args[1] if name in ("aten::index", "aten::index_put_", "aten::index_put") else ()
        by_truth = any(one is not None and one.dtype == torch.bool for one in chosen)
        drop = name == "aten::_local_scalar_dense" and self._before == ["aten::rand of one", "aten::lt"]
        self._before = [self._before[1], "aten::rand of one" if name == "aten::rand" and args[0] == [] else name]
        if drop:
            return func(*args, **(kwargs or {}))
        if name in _LOOK or by_truth or (name == "aten::repeat_interleave" and kwargs.get("output_size") is None):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))
