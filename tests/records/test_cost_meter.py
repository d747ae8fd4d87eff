"""The meter sees what a block costs, and codecarbon can do no harm."""

from __future__ import annotations

import logging
import mmap
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from xglue_harness.records import cost_meter as meter
from xglue_harness.records import energy
from xglue_harness.records.cost_meter import CostMeter, PeakMeter

CPU = torch.device("cpu")
BLOCK = 200_000_000


def _can_reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


resettable = pytest.mark.skipif(not _can_reset(), reason="the system does not reset the peak of memory")


@pytest.fixture(autouse=True)
def _no_codecarbon(monkeypatch):
    """As where it is not installed; the tests of energy put a stub in its place."""
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    energy._warn.cache_clear()


def _allocate():
    """Makes `BLOCK` bytes resident, fresh from the system: malloc may hand out again what earlier tests freed."""
    with mmap.mmap(-1, BLOCK) as block:
        for page in range(0, BLOCK, mmap.PAGESIZE):
            block[page] = 1


def _peak(work):
    with CostMeter(CPU) as measured:
        work()
    return measured.cost().peak_memory_mb


def test_time_and_rate():
    with CostMeter(CPU) as measured:
        time.sleep(0.2)
    cost = measured.cost(real_tokens=1000)
    assert 0.2 <= cost.seconds < 2
    assert cost.seconds == round(cost.seconds, 3)
    assert cost.tokens_per_second == pytest.approx(1000 / cost.seconds, rel=0.01)
    assert measured.cost().tokens_per_second is None


def test_things_done_at_once_have_shares_of_seconds_and_energy_but_not_of_memory():
    with CostMeter(CPU) as measured:
        time.sleep(0.2)
    measured._energy = 0.5
    whole, quarter = measured.cost(1000), measured.cost(250, share=0.25)
    assert quarter.seconds == pytest.approx(whole.seconds / 4, abs=2e-3)
    assert quarter.tokens_per_second == pytest.approx(whole.tokens_per_second, rel=0.02)
    assert (whole.energy_kwh, quarter.energy_kwh) == (0.5, 0.125)
    assert quarter.peak_memory_mb == whole.peak_memory_mb
    nothing = measured.cost(0, share=0.0)
    assert (nothing.seconds, nothing.tokens_per_second) == (0.0, None)


@resettable
def test_the_peak_is_that_of_the_block_in_megabytes():
    before = _peak(lambda: None)
    during = _peak(_allocate)
    after = _peak(lambda: None)
    assert 195 <= during - before <= 230
    assert abs(after - before) < 30


@resettable
def test_a_peak_is_known_within_the_block_and_blocks_tell_phases_apart():
    with CostMeter(CPU) as whole:
        with PeakMeter(CPU) as first:
            before = first.megabytes()
            _allocate()
            during = first.megabytes()
        with PeakMeter(CPU) as second:
            pass
    assert 195 <= during - before <= 230
    assert first.megabytes() >= during
    assert first.megabytes() - second.megabytes() > 170
    assert whole.cost().peak_memory_mb >= first.megabytes()


@resettable
def test_an_inner_block_does_not_hide_the_peak_of_the_outer_one():
    with CostMeter(CPU) as outer:
        _allocate()
        inner = _peak(lambda: None)
    assert outer.cost().peak_memory_mb - inner > 170


@resettable
def test_a_meter_forgets_its_last_block():
    measured = CostMeter(CPU)
    with measured:
        _allocate()
    first = measured.cost().peak_memory_mb
    with measured:
        pass
    assert first - measured.cost().peak_memory_mb > 170


@pytest.mark.skipif(sys.platform == "win32", reason="has no such peak")
def test_where_the_system_has_no_proc_the_peak_since_the_start_counts(monkeypatch, tmp_path):
    import resource

    monkeypatch.setattr(meter, "_PROCESS", tmp_path / "absent")
    unit = 1 if sys.platform == "darwin" else 1024
    lowest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    assert lowest - 1 <= _peak(lambda: None) < 4 * lowest


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_peak_is_torchs():
    device = torch.device("cuda", 0)
    with CostMeter(device) as measured:
        torch.ones(BLOCK // 4, device=device)
    assert measured.cost().peak_memory_mb >= 200


def test_an_error_passes_through_and_the_cost_is_still_known():
    measured = CostMeter(CPU)
    with pytest.raises(KeyError), measured:
        raise KeyError
    assert measured.cost().seconds >= 0
    assert not meter._open


def _codecarbon(monkeypatch, tracker):
    module = ModuleType("codecarbon")
    module.OfflineEmissionsTracker = tracker
    monkeypatch.setitem(sys.modules, "codecarbon", module)


class _Tracker:
    """Counts 0.5 kWh between start and stop, as codecarbon tells it."""

    seen: list[dict]

    def __init__(self, **settings):
        self.seen.append(settings)

    def start(self):
        self.began = True

    def stop(self):
        self.final_emissions_data = SimpleNamespace(energy_consumed=0.5 if self.began else 0.0)


def test_energy_is_codecarbons_and_nothing_else_of_it_is_wanted(monkeypatch):
    _Tracker.seen = []
    _codecarbon(monkeypatch, _Tracker)
    with CostMeter(CPU) as measured:
        pass
    assert measured.cost().energy_kwh == 0.5
    (settings,) = _Tracker.seen
    assert settings["output_methods"] == []
    assert settings["emissions_endpoint"] is False
    assert settings["allow_multiple_runs"] is True, "else it takes a lock and the signal handlers"
    assert settings["gpu_ids"] == [], "a run on a CPU does not pay for the machine's GPUs"


def test_of_the_gpus_the_one_in_use_counts(monkeypatch):
    _Tracker.seen = []
    _codecarbon(monkeypatch, _Tracker)
    nvml = ModuleType("pynvml")
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetHandleByUUID = {"GPU-aa-bb": "handle"}.__getitem__
    nvml.nvmlDeviceGetIndex = {"handle": 3}.__getitem__
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="aa-bb"))
    assert energy.stop(energy.start(torch.device("cuda", 0))) == 0.5
    assert _Tracker.seen[0]["gpu_ids"] == [3]


def test_without_codecarbon_energy_is_unknown_and_nobody_is_told(caplog):
    with CostMeter(CPU) as measured:
        pass
    assert measured.cost().energy_kwh is None
    assert not caplog.records


class _FailsToStart(_Tracker):
    def start(self):
        raise OSError("no counters")


class _FailsToStop(_Tracker):
    def stop(self):
        raise RuntimeError("no data")


class _SwallowsItsErrors(_Tracker):
    def stop(self):
        """Leaves no figure behind, as after an error that codecarbon only logs."""


class _CountsNonsense(_Tracker):
    def stop(self):
        self.final_emissions_data = SimpleNamespace(energy_consumed=float("nan"))


@pytest.mark.parametrize("tracker", [_FailsToStart, _FailsToStop, _SwallowsItsErrors, _CountsNonsense, None])
def test_a_codecarbon_that_fails_costs_one_warning(monkeypatch, caplog, tracker):
    _Tracker.seen = []
    _codecarbon(monkeypatch, tracker)
    for _ in range(3):
        with CostMeter(CPU) as measured:
            pass
        assert measured.cost().energy_kwh is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no energy is reported" in caplog.text
