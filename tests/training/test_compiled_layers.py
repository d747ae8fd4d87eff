"""Layers are compiled once for all of an encoder's, and only where a training asks for it."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from tests.helpers import families
from tests.helpers.training import backbone
from xglue_harness.encoders.calling import call
from xglue_harness.encoders.loading import Checkpoint, load_config, load_encoder
from xglue_harness.training import compiled_layers
from xglue_harness.training.compiled_layers import CompiledLayers


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


@pytest.fixture
def compiler(monkeypatch):
    """Counts what is compiled, and compiles nothing."""
    counter, compiled = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled(function, backend=counter, **options))
    torch._dynamo.reset()
    yield counter
    torch._dynamo.reset()


def _states(encoder, length):
    ids = torch.randint(5, 30, (3, length), generator=torch.Generator().manual_seed(length))
    return call(encoder, ids, torch.ones_like(ids)).last_hidden_state


@pytest.mark.parametrize(("static", "times"), [(True, 3), (False, 1)])
def test_layers_share_what_is_compiled_and_lengths_too_where_they_may(static, times, compiler):
    encoder = backbone().encoder
    layers = CompiledLayers(encoder, static=static)
    for length in (8, 16, 24):
        with layers():
            states = _states(encoder, length)
        torch.testing.assert_close(states, _states(encoder, length))
    assert compiler.frame_count == times


def test_outside_nothing_is_compiled_and_nothing_is_left_behind(compiler):
    encoder = backbone().encoder
    layers = CompiledLayers(encoder, static=True)

    def fail():
        with layers():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    _states(encoder, 8)
    assert compiler.frame_count == 0
    assert not any("forward" in vars(module) for module in encoder.modules())


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_layers_of_a_family_are_those_of_its_configuration(family, checkpoint):
    found = Checkpoint(str(checkpoint(family)))
    config = load_config(found)
    encoder = load_encoder(found, config)
    layers = compiled_layers._layers(encoder)
    assert len(layers) == (4 if family == "modernbert" else 2)
    assert len({type(layer) for layer in layers}) == 1
    inside = sum(weight.numel() for layer in layers for weight in layer.parameters())
    assert inside > 0.9 * sum(
        weight.numel() for name, weight in encoder.named_parameters() if "embed" not in name and "shared" not in name
    )


def test_an_encoder_without_a_list_of_layers_is_compiled_as_a_whole():
    encoder = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert compiled_layers._layers(encoder) == [encoder]
