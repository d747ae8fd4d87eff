"""What a plan says of a run before it and after it: the training is then in the store, and its memory measured."""

from __future__ import annotations

import pytest

from tests.helpers.runs import QUICK
from xglue_harness.harness.asked import RunArguments
from xglue_harness.recipe import parse_options
from xglue_harness.store.trainings import Store
from xglue_harness.sweeps.estimates import SHARE
from xglue_harness.sweeps.run_plan import plan_run


@pytest.mark.usefixtures("own_store")
def test_a_run_that_was_done_is_in_the_store(evaluate, tiny):
    options = parse_options({**QUICK, "precision": "fp32"})
    asked = RunArguments("hf-encoder", {"pretrained": str(tiny)}, ["xglue_qam_zs"], options, 1234)
    [before] = plan_run(asked, Store(), device="cpu", share=SHARE).tasks
    assert before.state == "to train"
    found = evaluate(["xglue_qam_zs_de"], {"precision": "fp32"}, device="cpu", limit=8)
    training = found["configs"]["xglue_qam_zs_de"]["metadata"]["xglue"]["training"]
    made = plan_run(asked, Store(), device="cpu", share=SHARE)
    [after] = made.tasks
    assert after.state == "in the store"
    assert (before.steps, after.steps) == (training["steps"],) * 2
    assert after.memory.measured
    assert after.memory.bytes == pytest.approx(1e6 * training["cost"]["peak_memory_mb"])
    assert "0 of 1 trainings to do" in next(made.words())
