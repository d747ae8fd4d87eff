"""The pure parts of the GPU benchmark (budget, journal, table, targets, traces), and its processes."""

from __future__ import annotations

import json
import os
import textwrap
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.__main__ import GROUPS
from benchmarks.gpu.material import long_texts
from benchmarks.gpu.operations import counted, eager, kind_of_operation, static
from benchmarks.gpu.parts import ON_A_CARD, REHEARSED, all_parts
from benchmarks.gpu.results import LeftOutError, Result, check, measure, told
from benchmarks.gpu.runner import RESERVE, ROOT, Budget, Journal, Part, read, run_parts, run_together
from benchmarks.gpu.table import TARGETS, by_key, markdown, seed_rows, target_rows, text
from benchmarks.gpu.trace import covered, kind_of_kernel, summary


def _speed(side: str, workload: str = "XNLI", **figures: float) -> Result:
    return Result(f"speed/shapes/bf16/{workload}/{side}", "measured", figures)


# -------------------------------------------------------------------- results


def test_results_are_told_line_by_line(capsys) -> None:
    measure("a/figure", lambda: ({"x": 1.5}, "a note"))
    check("a/check", lambda: (False, {}, ""))
    lines = capsys.readouterr().out.splitlines()
    assert [told(line) for line in lines] == [
        Result("a/figure", "measured", {"x": 1.5}, "a note"),
        Result("a/check", "FAILED"),
    ]
    assert told("anything else") is None


def test_an_exception_is_a_line(capsys) -> None:
    def fails() -> Any:
        raise RuntimeError("the card\nis gone")

    def lacks() -> Any:
        raise LeftOutError("no card")

    check("a", fails)
    check("b", lacks)
    broken, left_out = (told(line) for line in capsys.readouterr().out.splitlines())
    assert broken is not None
    assert (broken.status, broken.note) == ("error", "RuntimeError: the card")
    assert "in fails" in broken.figures["traceback"]
    assert left_out == Result("b", "left out", {}, "no card")


# -------------------------------------------------------------------- budget and journal


def _part(name: str, estimate: float = 1, **others: Any) -> Part:
    return Part(name, "nothing", {}, estimate, 10, (f"{name}/it",), **others)


def test_budget_keeps_a_reserve() -> None:
    clock = iter([100.0, 100.0, 150.0, 400.0]).__next__
    budget = Budget(60, clock=clock)
    assert budget.left() == 60 - RESERVE
    assert not budget.fits(_part("a", estimate=6))
    assert budget.left() == 0


def test_what_does_not_fit_is_a_line() -> None:
    journal = Journal(None, {})
    run_parts([_part("a", estimate=500)], Budget(60), journal, say=lambda _: None)
    [result] = journal.results
    assert (result.key, result.status) == ("a/it", "left out")
    assert result.note.startswith("500 s wanted, 5")


def test_journal_is_read_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gpu.json", {"date": "2026-01-01"})
    one, two = Result("a", "ok", {"x": 1}), Result("b", "error", {}, "why")
    journal.add(one)
    assert read(tmp_path / "gpu.json")[1] == [one]
    journal.add(two)
    journal.ended(_part("a"), 1.23, "ended", "said")
    document, results = read(tmp_path / "gpu.json")
    assert results == [one, two]
    assert document["date"] == "2026-01-01"
    assert document["parts"] == [{"name": "a", "seconds": 1.2, "how": "ended", "stderr": "said"}]
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]


def _run(tmp_path: Path, code: str, *, keys: tuple[str, ...], limit: float = 60) -> tuple[list[Result], dict[str, Any]]:
    """Results of a worker with this code, and how its part ended."""
    (tmp_path / "own_worker.py").write_text(textwrap.dedent(code))
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    part = Part("own", "own_worker", {"x": 7}, 1, limit, keys, environment)
    journal = Journal(tmp_path / "gpu.json", {})
    run_parts([part], Budget(100), journal, say=lambda _: None)
    document, results = read(tmp_path / "gpu.json")
    return results, document["parts"][0]


@pytest.mark.processes
def test_a_worker_that_crashes_keeps_what_it_told(tmp_path: Path) -> None:
    code = """
        import sys
        from benchmarks.gpu.results import arguments, measure
        measure("own/first", lambda: (arguments(), ""))
        sys.exit("no more")
    """
    results, part = _run(tmp_path, code, keys=("own/first", "own/second"))
    assert results[0] == Result("own/first", "measured", {"x": 7})
    assert results[1] == Result("own/second", "error", {}, "own ended with code 1; no more")
    assert part["stderr"].endswith("no more\n")


@pytest.mark.processes
def test_parts_that_run_together_and_the_last_one_hurries(tmp_path: Path) -> None:
    (tmp_path / "own_worker.py").write_text(
        textwrap.dedent("""
            import time
            from benchmarks.gpu.results import arguments, measure
            given = arguments()
            measure(given["key"], lambda: ({"began": time.time()}, ""))
            time.sleep(given["seconds"])
        """)
    )
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    parts = [
        Part(name, "own_worker", {"key": f"{name}/it", "seconds": seconds}, 1, 90, (f"{name}/it",), environment)
        for name, seconds in (("one", 1), ("other", 1), ("last", 600))
    ]
    journal = Journal(None, {})
    began = time.monotonic()
    run_together([*parts, _part("long", estimate=500)], Budget(100), journal, patience=1, say=lambda _: None)
    assert time.monotonic() - began < 60
    statuses = {result.key: result.status for result in journal.results}
    assert statuses == {"one/it": "measured", "other/it": "measured", "last/it": "measured", "long/it": "left out"}
    assert [part["how"].split()[0] for part in journal.parts] == ["ended", "ended", "stopped"]


@pytest.mark.processes
def test_a_worker_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    code = """
        import pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path(__file__).with_name("pid").write_text(str(child.pid))
        time.sleep(600)
    """
    began = time.monotonic()
    results, part = _run(tmp_path, code, keys=("own/it",), limit=3)
    assert time.monotonic() - began < 60
    assert results == [Result("own/it", "error", {}, "own stopped after 3 s")]
    assert part["how"] == "stopped after 3 s"
    pid = int((tmp_path / "pid").read_text())
    status = Path(f"/proc/{pid}/status")
    for _ in range(100):
        if not status.exists() or "zombie" in status.read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child lives on")


# -------------------------------------------------------------------- parts


@pytest.mark.parametrize("scale", [ON_A_CARD, REHEARSED])
def test_parts_tell_results_of_their_own(scale, tmp_path: Path) -> None:
    groups = all_parts("encoder", "data", tmp_path, scale)
    parts = [part for members in groups.values() for part in members]
    for part in parts:
        assert json.loads(json.dumps(part.arguments))
        assert 0 < part.estimate < part.limit <= 240
        assert part.keys
    keys = [key for part in parts for key in part.keys]
    assert len(keys) == len(set(keys))
    assert list(groups)[:2] == ["facts", "checks"]
    assert set(GROUPS) == set(groups) - {"material"}


def test_a_trainer_plans_no_attention_anew_for_each_shape_but_where_it_says_so(tmp_path: Path) -> None:
    """cuDNN's would be most of what is measured, and make the part overrun."""
    groups = all_parts("encoder", "data", tmp_path, ON_A_CARD)
    parts = [part for members in groups.values() for part in members if "Trainer" in part.name]
    plans = {part.name for part in parts if part.environment != {"TORCH_CUDNN_SDPA_DEPRIORITIZED": "1"}}
    assert plans == {"speed, shapes, Trainer with cuDNN, bf16, NC XNLI"}
    assert len(parts) == 10


def test_targets_ask_for_results_that_parts_tell(tmp_path: Path) -> None:
    """A target whose key is misspelt would stay unmeasured for ever."""
    figures = {
        "real tokens/s": 10.0, "TFLOP/s": 10.0, "rows/s evaluated": 10.0, "device works of wall": 0.5,
    }  # fmt: skip
    parts = [part for members in all_parts("e", "d", tmp_path, ON_A_CARD).values() for part in members]
    results = {key: Result(key, "measured", figures) for part in parts for key in part.keys}
    assert [target.name for target in TARGETS if target.figure(results) is None] == []


def test_long_texts() -> None:
    texts = iter(["a b c", "d e", "f g h i", "j"])
    assert long_texts(texts, rows=2, words=4) == ["a b c d", "f g h i"]


# -------------------------------------------------------------------- table


def test_the_fastest_trainer_is_the_best() -> None:
    results = by_key(
        [
            _speed("ours", **{"real tokens/s": 600.0, "TFLOP/s": 30.0}),
            _speed("Trainer", **{"real tokens/s": 100.0}),
            _speed("Trainer at its best", **{"real tokens/s": 150.0}),
            _speed("Trainer compiled", **{"real tokens/s": 300.0}),
            Result("facts/bf16 products", "measured", {"TFLOP/s": 100.0}),
        ]
    )
    rows = {name: (measured, verdict) for name, _, measured, verdict in target_rows(results)}
    assert rows["training, XNLI-like: ours to the Trainer's default"] == ("6.00 times", "reached")
    assert rows["training, XNLI-like: ours to the Trainer's best"] == ("2.00 times", "MISSED")
    assert rows["share of the measured bf16 peak, XNLI-like"] == ("30.00 %", "reached")
    assert rows["training, POS-like: ours to the Trainer's best"] == ("not measured", "")


def test_a_failed_check_is_a_missed_target() -> None:
    def verdict(*statuses: Any) -> tuple[str, ...]:
        results = by_key([Result(f"checks/{number}", status) for number, status in enumerate(statuses)])
        return next(row for row in target_rows(results) if row[0] == "all checks")[2:]

    assert verdict("ok", "ok") == ("2 ok", "reached")
    assert verdict("ok", "FAILED") == ("1 ok, 1 FAILED", "MISSED")
    assert verdict("ok", "left out") == ("1 ok, 1 left out", "MISSED")
    assert verdict() == ("not run", "MISSED")


def test_of_results_with_one_key_an_error_gives_way() -> None:
    good, bad = Result("a", "measured", {"x": 1}), Result("a", "error")
    assert by_key([good, Result("a", "left out")])["a"] == good
    assert by_key([good, bad])["a"] == by_key([bad, good])["a"] == good
    assert by_key([bad])["a"] == bad


def test_seeds_are_compared_by_their_own_noise() -> None:
    def seeds(device: str, en: list[float], es: list[float]) -> Result:
        return Result(f"seeds/{device}", "measured", {"accuracy": {"en": en, "es": es}})

    results = by_key([seeds("cpu fp32", [90, 91], [80, 80.5]), seeds("cuda bf16", [90.5, 91.5], [82, 82.5])])
    assert seed_rows(results) == [
        ("en", "90.50 (90.00 to 91.00)", "91.00 (90.50 to 91.50)", "within"),
        ("es", "80.25 (80.00 to 80.50)", "82.25 (82.00 to 82.50)", "APART by 2.00"),
    ]
    assert target_rows(results)[-1][-1] == "MISSED"


def _document(**others: Any) -> tuple[dict[str, Any], list[Result]]:
    card = {
        "card": "Card",
        "memory GB": 80.0,
        "cuda of torch": "13.0",
        "cores": 16,
        "cpu": "CPU",
        "revision": None,
        "code": "c0de",
    }
    card |= {"nvidia-smi": {"driver_version": "580"}, "versions": {"torch": "2.11", "peft": "absent"}}
    profile = {"wall ms": 2.0, "device ms": 1.9, "ms by kind": {"matmul": 1.5}, "device works of wall": 0.95}
    results = [
        Result("facts/card", "measured", card, "Card"),
        Result("checks/waits", "ok", {}, "a | b"),
        _speed("ours", **{"steps/s": 100.0, "real tokens/s": 600.0, "s of recording": 4.0, "accuracy": 0.5}),
        Result("profile/XNLI/ours", "measured", profile),
        Result("together/1", "measured", {"steps/s together": 100.0}),
        Result("together/2", "measured", {"steps/s together": 130.0}),
        Result("together/4", "left out", {}, "no time"),
    ]
    return {"rehearsal": False, "date": "2026-11-26", **others}, results


def test_page_names_card_versions_and_date() -> None:
    document, results = _document()
    page = markdown(document, by_key(results))
    assert "2026-11-26 with one Card (80.0 GB, driver 580, CUDA 13.0), 16 cores of CPU, torch 2.11; revision " in page
    assert " unknown, code c0de.\n" in page
    assert "| waits | ok | a / b |" in page
    assert "| 2 | 130.0 | 1.30 |" in page
    assert "| together/4 | left out | no time |" in page
    assert "| shapes | bf16 | XNLI | ours | 100.0 | 600.0 |  |  | 4.0 |  | 50.0 |  |" in page
    widths = {line.count("|") for line in page.split("## Speed")[1].split("##")[0].splitlines() if "|" in line}
    assert len(widths) == 1


def test_a_rehearsal_is_no_page() -> None:
    document, results = _document(rehearsal=True)
    with pytest.raises(ValueError, match="the page waits for a card"):
        markdown(document, by_key(results))


def test_text_has_all_tables() -> None:
    told_text = text(by_key(_document()[1]))
    for title in ("Facts", "Checks", "Speed", "Where a step's time goes, ms", "Trainings together", "Targets"):
        assert f"\n{title}" in f"\n{told_text}"
    assert text({}).startswith("Targets")


# -------------------------------------------------------------------- traces


def test_union_of_spans() -> None:
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.7)]) == 4
    assert covered([]) == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_TNT", "matmul"),
        ("void flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128>>", "attention"),
        ("fmha_cutlassF_bf16_aligned_64x64_rf_sm80", "attention"),
        (
            "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<FusedAdamMathFunctor>",
            "optimizer and clipping",
        ),
        (
            "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<CopyFunctor<BFloat16>>",
            "casts and copies",
        ),
        ("void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda()>", "casts and copies"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl>", "elementwise"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float>", "norm"),
        ("triton_poi_fused_add_3", "compiled"),
        ("something else", "other"),
    ],
)
def test_kinds_of_kernels(name: str, kind: str) -> None:
    assert kind_of_kernel(name) == kind


def test_kinds_of_operations() -> None:
    assert kind_of_operation("aten._to_copy.default") == "casts"
    assert kind_of_operation("aten.mm.default") == "matrix products"
    assert kind_of_operation("aten.mul.Tensor") == "elementwise and others"
    assert kind_of_operation("aten.view.default") is None


def test_operations_of_a_step() -> None:
    plain, ours = counted(eager(layers=1)), counted(static(layers=1))
    assert plain["operations"] == sum(plain["kinds"].values()) < sum(plain["names"].values())
    assert plain["kinds"]["matrix products"] == ours["kinds"]["matrix products"] > 10
    assert 0 < ours["kinds"]["casts"] < plain["kinds"]["casts"]


def test_summary_of_a_trace() -> None:
    def event(cat: str, name: str, ts: float, dur: float) -> dict[str, Any]:
        return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}

    events = [
        event("kernel", "gemm", 0, 4000),
        event("kernel", "copy", 5000, 1000),
        event("gpu_memcpy", "Memcpy HtoD", 7000, 1000),
        event("cuda_runtime", "cudaLaunchKernel", 0, 5),
        event("cuda_runtime", "cudaGraphLaunch", 0, 5),
        event("cuda_runtime", "cudaStreamSynchronize", 0, 5),
        {"ph": "M", "name": "process_name"},
    ]
    found = summary(events, steps=2)
    assert found["device ms"] == 3
    assert found["gaps ms"] == 1
    assert found["device works"] == 0.75
    assert (found["kernels"], found["launches"], found["graph launches"], found["waits"]) == (1.5, 0.5, 0.5, 0.5)
    assert found["ms by kind"] == {"matmul": 2, "casts and copies": 1}
    assert summary([], steps=2)["device works"] == 0
    assert summary([event("kernel", "of another clock", -3e11, 5), *events], steps=2) == found


def test_results_are_json() -> None:
    assert json.loads(json.dumps(asdict(Result("a", "ok")))) == {"key": "a", "status": "ok", "figures": {}, "note": ""}
