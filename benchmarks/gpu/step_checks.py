"""Whether steps on the device are right: as eager ones, as those of the CPU, with the arithmetic that was asked for.

Worker: ``python -m benchmarks.gpu.step_checks '{"setting": {...}, "steps": 50, "checks": [...]}'``
"""

from __future__ import annotations

import copy
import gc
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.gpu.results import LeftOutError, arguments, check, first_line
from benchmarks.gpu.rig import Rig, losses, weights
from benchmarks.workload import Setting
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.recipe import Recipe
from xglue_harness.training.determinism import seeded
from xglue_harness.training.model import build_model
from xglue_harness.training.train_step import TrainStep

Found = tuple[bool, Mapping[str, Any], str]

TOLERANCE = 1e-5
"""Largest difference of a weight."""

STILL = 1e-300
"""A learning rate that changes no weight: it is 0 in fp32. One of 1e-30 moves weights that are 0, which can turn the
last bit of a product."""

_NO_GRADIENT = ("key.bias", "k_proj.bias")
"""Biases of keys: softmax does not see them, so their gradient is rounding alone, which AdamW blows up to a step."""


def differences(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The largest difference in each weight of two trainings, largest first."""
    found = {name: float((one[name].double() - other[name].double()).abs().max()) for name in one if one[name].numel()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def verdict(found: Mapping[str, float]) -> tuple[bool, dict[str, Any]]:
    """Whether all weights are equal but for rounding; key biases are told apart."""
    keys = {name: value for name, value in found.items() if name.endswith(_NO_GRADIENT)}
    others = {name: value for name, value in found.items() if name not in keys}
    worst = next(iter(others), "")
    figures = {
        "largest": max(others.values(), default=0.0),
        "in": worst,
        "key biases": max(keys.values(), default=0.0),
        "weights beyond": sum(value > TOLERANCE for value in others.values()),
    }
    return figures["largest"] <= TOLERANCE, figures


class Checks:
    """All checks of one setting; rigs are built when they are first needed."""

    def __init__(self, setting: Setting, device: torch.device, steps: int) -> None:
        """Take the setting; ``steps`` is the length of the trainings that are compared."""
        self._setting, self.device, self._steps = setting, device, steps
        self._rigs: dict[str, Rig] = {}

    def rig(self, device: str | None = None) -> Rig:
        """The rig of a device."""
        name = device or self.device.type
        if name not in self._rigs:
            self._rigs[name] = Rig.of(self._setting, name)
        return self._rigs[name]

    def _trained(self, device: str, *, graphs: bool) -> tuple[dict[str, torch.Tensor], str]:
        rig = self.rig(device)
        recipe = rig.recipe("fp32", dropout=0.0)
        with rig.training(recipe, steps=self._steps, graphs=graphs) as train_step:
            for batch in islice(rig.batches(recipe), self._steps):
                train_step.step(batch)
            train_step.check()
            return weights(train_step), train_step.mode

    @cached_property
    def _eager(self) -> dict[str, torch.Tensor]:
        return self._trained(self.device.type, graphs=False)[0]

    def graphed(self) -> Found:
        """In fp32 without dropout, graphs give what eager steps give."""
        other, mode = self._trained(self.device.type, graphs=True)
        holds, figures = verdict(differences(self._eager, other))
        return holds and (mode == "graphs" or self.device.type == "cpu"), {**figures, "mode": mode}, ""

    def on_cpu(self) -> Found:
        """In fp32 without dropout, the device gives what the CPU gives."""
        holds, figures = verdict(differences(self._eager, self._trained("cpu", graphs=False)[0]))
        return holds, figures, ""

    def predicted(self) -> Found:
        """In fp32, predictions on the device are those of the CPU."""
        answers = []
        for device in (self.device.type, "cpu"):
            rig = self.rig(device)
            recipe = rig.recipe("fp32")
            with seeded(1, rig.backbone.device):
                model = build_model(rig.backbone, rig.spec, recipe).to(rig.backbone.device)
            parts = [prepare(rig.backbone, rig.spec, recipe, list(rows), lang) for lang, rows in rig.tests.items()]
            predicted = predict(model, rig.backbone, recipe, parts, progress=False)
            answers.append([value for part in predicted for document in part.values for value in _flat(document)])
        same = sum(one == other for one, other in zip(*answers, strict=True)) / len(answers[0])
        return same > 0.999, {"equal classes": same, "of": len(answers[0])}, "random head: its classes are near ties"

    # ---------------------------------------------------------------- arithmetic

    def product_error(self, precision: str, *, graphs: bool) -> float:
        """Relative error of a linear layer's product within training steps, against one in fp64."""
        rig = self.rig()
        recipe = rig.recipe(precision, dropout=0.0, learning_rate=STILL)
        with rig.training(recipe, steps=8, graphs=graphs) as train_step:
            layer = next(m for m in train_step.model.encoder.modules() if isinstance(m, nn.Linear))
            kept: list[torch.Tensor] = []

            def keep(_: Any, given: Any, output: torch.Tensor) -> None:
                kept[:] = [given[0].detach().clone(), output.detach().clone()]

            handle = layer.register_forward_hook(keep)
            batches = list(islice(rig.batches(recipe), 1)) * 3
            losses(train_step, batches)
            handle.remove()
            source, product = (tensor.double() for tensor in kept)
            exact = nn.functional.linear(source, layer.weight.detach().double(), layer.bias.detach().double())
            return float((product - exact).norm() / exact.norm())

    def fp32(self) -> Found:
        """No TF32 unless it is asked for."""
        errors = {
            name: self.product_error("fp32", graphs=graphs) for name, graphs in (("eager", False), ("graphs", True))
        }
        return max(errors.values()) < 2e-5, errors, "relative error of a product"

    def tf32(self) -> Found:
        """TF32 where it is asked for, and gone afterwards."""
        if self.device.type == "cpu":
            raise LeftOutError("needs CUDA")
        errors = {
            name: self.product_error("tf32", graphs=graphs) for name, graphs in (("eager", False), ("graphs", True))
        }
        after = self.product_error("fp32", graphs=False)
        holds = all(5e-5 < error < 5e-3 for error in errors.values()) and after < 2e-5
        return holds, {**errors, "fp32 afterwards": after}, "relative error of a product"

    def half_precision(self) -> Found:
        """A checkpoint in half precision is trained, and kept, in fp32."""
        from benchmarks.gpu.sides import OnDevice
        from xglue_harness.store.trainings import Entry

        rig = self.rig()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            encoder: Any = copy.deepcopy(rig.backbone.encoder)
            encoder.half().save_pretrained(folder)
            rig.backbone.tokenizer.save_pretrained(folder)
            setting = Setting(str(folder), self._setting.data, self._setting.task, rows=64)
            stored = Rig.of(setting, self.device.type)
            with stored.training(stored.recipe("bf16"), steps=2) as train_step:
                in_training = {str(p.dtype) for p in train_step.model.parameters()}
            side = OnDevice(setting)
            side.fine_tune(stored.rows, 1)
            entry: Entry = side.tuned.entry
            tensors = entry.read(max(entry.weights))
            kept = {str(tensor.dtype) for tensor in tensors.values() if tensor.is_floating_point()}
            loaded = str(next(stored.backbone.encoder.parameters()).dtype)
        holds = in_training == kept == {"torch.float32"}
        return holds, {"loaded": loaded, "trained": sorted(in_training), "kept": sorted(kept)}, ""

    # ---------------------------------------------------------------- memory

    def out_of_memory(self) -> Found:
        """A batch that does not fit is computed in parts, with the same loss; the lack of memory is real."""
        if self.device.type == "cpu":
            raise LeftOutError("needs CUDA")
        rig = self.rig()
        rows = min(len(rig.inputs) // 2, 512)
        recipe = rig.recipe("fp32", dropout=0.0, learning_rate=STILL, batch_size=rows)
        by_length = sorted(range(len(rig.inputs)), key=lambda i: rig.inputs.lengths[i])
        short, long = by_length[:rows], by_length[-rows:]
        with rig.training(recipe, steps=8, graphs=False) as train_step:
            losses(train_step, [short])
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
            [expected] = losses(train_step, [long])
            needed = torch.cuda.max_memory_allocated() - held
        del train_step
        figures: dict[str, Any] = {"needed GB": needed / 1e9, "loss in one": expected}
        for name, graphs in (("eager", False), ("graphs", True)):
            with rig.training(recipe, steps=8, graphs=graphs) as train_step:
                losses(train_step, [short])
                with _filled(leave=int(needed * 0.4)):
                    [loss] = losses(train_step, [long])
                figures |= {f"loss in parts, {name}": loss, f"parts, {name}": train_step.counters.batch_splits}
            del train_step
        holds = all(
            figures[f"parts, {name}"] > 1 and abs(figures[f"loss in parts, {name}"] / expected - 1) < TOLERANCE
            for name in ("eager", "graphs")
        )
        return holds, figures, ""

    # ---------------------------------------------------------------- dropout

    def attention_dropout(self) -> Found:
        """Two passes over one batch differ where only attention has dropout, and do not where nothing has."""
        rig, figures, holds = self.rig(), {}, True
        for precision in ("fp32", "bf16"):
            for graphs in (False, True):
                seen = {rate: self._spread(rig, rig.recipe(precision, learning_rate=STILL), rate, graphs)
                        for rate in (0.1, 0.0)}  # fmt: skip
                figures[f"{precision}, {'graphs' if graphs else 'eager'}"] = seen[0.1]
                holds = holds and seen[0.1] > 0 and seen[0.0] == 0
        return holds, figures, "how many of 5 losses of one batch are new, without dropout elsewhere"

    def _spread(self, rig: Rig, recipe: Recipe, rate: float, graphs: bool) -> int:
        with rig.training(recipe, steps=8, graphs=graphs) as train_step:
            if not _only_in_attention(train_step.model, rate):
                raise LeftOutError("no dropout module within an attention")
            batch = next(rig.batches(recipe))
            return len(set(losses(train_step, [batch] * 5))) - 1

    # ---------------------------------------------------------------- waits

    def waits(self) -> Found:
        """No step that is no check step waits for the device."""
        if self.device.type == "cpu":
            raise LeftOutError("needs CUDA")
        rig, figures, notes = self.rig(), {}, []
        for precision in ("bf16", "fp32"):
            for graphs in (True, False):
                name = f"{precision}, {'graphs' if graphs else 'eager'}"
                with rig.training(rig.recipe(precision), steps=1000, graphs=graphs) as train_step:
                    figures[name], note = _waits(train_step, list(islice(rig.batches(train_step.recipe), 48)))
                notes += [f"{name}: {note}"] if note else []
        return figures["bf16, graphs"] == figures["fp32, graphs"] == "no", figures, "; ".join(notes)[:600]


def _waits(train_step: TrainStep, batches: Sequence[Sequence[int]]) -> tuple[str, str]:
    for batch in batches:  # all shapes are met
        train_step.step(batch)
    train_step.check()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[:12]:
            train_step.step(batch)
    except RuntimeError as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "torch" not in frame.filename]
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return "yes", f"{first_line(error)}{place}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    train_step.check()
    return "no", ""


@contextmanager
def _filled(*, leave: int) -> Iterator[None]:
    """Take all of the card's memory but so many bytes."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    cached = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    block = torch.empty(max(0, free + cached - leave - (64 << 20)), dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del block
        torch.cuda.empty_cache()


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _only_in_attention(model: nn.Module, rate: float) -> bool:
    """Give dropout on attention's probabilities a rate, and all other dropout 0; whether there is any."""
    found = False
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            inside = name.endswith(("attention.self.dropout", "attn.dropout", "attn_dropout"))
            module.p = rate if inside else 0.0
            found = found or inside
    return found


def main() -> None:
    """Run the checks that are named."""
    given = arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checks = Checks(Setting(**given["setting"]), device, given["steps"])
    acts = {
        "graphs = eager": checks.graphed,
        "eager = CPU": checks.on_cpu,
        "predictions = CPU": checks.predicted,
        "nothing waits": checks.waits,
        "attention dropout": checks.attention_dropout,
        "fp32 is fp32": checks.fp32,
        "TF32 by recipe": checks.tf32,
        "weights are fp32": checks.half_precision,
        "out of memory": checks.out_of_memory,
    }
    for name in given["checks"]:
        check(f"checks/{name}", acts[name])


if __name__ == "__main__":
    main()
