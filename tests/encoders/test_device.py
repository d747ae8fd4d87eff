"""The arithmetic of forward passes, and what it leaves behind."""

from __future__ import annotations

import pytest
import torch

from xglue_harness.encoders.device import autocast

cuda = torch.backends.cuda


def _failing_pass() -> None:
    with autocast(torch.device("cuda"), "fp32"):
        assert not cuda.cudnn_sdp_enabled()
        assert cuda.mem_efficient_sdp_enabled()
        raise RuntimeError("of a forward pass")


def test_attention_on_a_gpu_is_not_cudnns_and_the_process_gets_its_choice_back() -> None:
    """It would plan for each shape of a batch anew, and round the rate of dropout to sixteenths."""
    assert cuda.cudnn_sdp_enabled()
    with pytest.raises(RuntimeError, match="of a forward pass"):
        _failing_pass()
    assert cuda.cudnn_sdp_enabled()
    cuda.enable_cudnn_sdp(False)
    try:
        with autocast(torch.device("cuda"), "fp32"):
            pass
        assert not cuda.cudnn_sdp_enabled()
    finally:
        cuda.enable_cudnn_sdp(True)
