"""Finished attention masks: the same states and gradients, and nothing is asked; or they are not given."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import families
from tests.helpers.waits import Waiting
from xglue_harness.encoders.attention_mask import finished_mask, takes_finished_mask
from xglue_harness.encoders.calling import call
from xglue_harness.encoders.cpu_kernels import training_kernels
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.loading import Checkpoint, load_config, load_encoder

CPU = torch.device("cpu")
TAKE_IT = [family for family in families.FAMILIES if family != "modernbert"]


def _encoder(folder):
    found = Checkpoint(str(folder))
    return load_encoder(found, load_config(found)).eval()


def _adds_masks(encoder):
    """T5 of older releases of transformers adds a mask to its scores, so that a finished one must not be given."""
    return "T5" in type(encoder).__name__ and not encoder._supports_sdpa


def _ids(rows, length):
    return torch.randint(5, 60, (rows, length), generator=torch.Generator().manual_seed(0))


def _batch(length):
    mask = (torch.arange(length) < torch.tensor([[length], [length - 9], [4]])).long()
    return {"input_ids": _ids(3, length), "attention_mask": mask}


@pytest.mark.parametrize("family", TAKE_IT)
def test_states_stay_and_nothing_is_asked(family, checkpoint):
    encoder, batch = _encoder(checkpoint(family)), _batch(40)
    if _adds_masks(encoder):
        assert not takes_finished_mask(encoder, _ids(1, 40))
        return
    assert takes_finished_mask(encoder, _ids(1, 40))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    with torch.inference_mode():
        expected = call(encoder, ids, mask).last_hidden_state
        with Waiting() as waiting:
            states = call(encoder, ids, finished_mask(mask)).last_hidden_state
    torch.testing.assert_close(states[mask.bool()], expected[mask.bool()], atol=1e-6, rtol=1e-6)
    assert waiting.seen == []


def test_a_plain_mask_is_asked_by_transformers(checkpoint):
    encoder, batch = _encoder(checkpoint("xlmr")), _batch(40)
    with torch.inference_mode(), Waiting() as waiting:
        call(encoder, **batch)
    assert waiting.seen, "transformers asks nothing any more: finished masks are of no use"


def test_local_attention_would_be_lost_and_is_noticed_in_inputs_that_are_longer(checkpoint):
    encoder = _encoder(checkpoint("modernbert"))
    assert takes_finished_mask(encoder, _ids(1, 4))
    assert not takes_finished_mask(encoder, _ids(1, 40))


class _Stubborn(torch.nn.Module):
    """Reads the mask in its own way."""

    def __init__(self, read):
        super().__init__()
        self.table = torch.nn.Embedding(60, 8)
        self.read = read

    def forward(self, input_ids, attention_mask):
        return type("Output", (), {"last_hidden_state": self.read(self.table(input_ids), attention_mask)})


@pytest.mark.parametrize(
    "read",
    [
        lambda vectors, mask: vectors.transpose(1, 2) @ mask.unsqueeze(-1).float(),  # another shape
        lambda vectors, mask: vectors + mask.sum(1, keepdim=True).reshape(-1, 1, 1),  # other states
        lambda vectors, mask: {2: vectors}[mask.dim()],  # an error
        lambda vectors, mask: vectors if mask.dim() == 2 else vectors * torch.nan,
    ],
)
def test_what_reads_masks_in_its_own_way_does_not_take_it(read):
    assert not takes_finished_mask(_Stubborn(read), _ids(2, 12))


def test_out_of_memory_says_nothing_of_the_mask():
    def read(vectors, mask):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        takes_finished_mask(_Stubborn(read), _ids(2, 12))


def test_asking_leaves_the_mode_and_the_generator_as_they_were(checkpoint):
    encoder = _encoder(checkpoint("xlmr")).train()
    before = torch.get_rng_state()
    assert takes_finished_mask(encoder, _ids(1, 12))
    assert encoder.training
    assert torch.equal(before, torch.get_rng_state())
    assert all(weight.grad is None for weight in encoder.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["mbert", "xlmr", "deberta", "mbart50", "t5"])
def test_training_with_dropout_gives_the_same_loss_and_gradients(family, precision, checkpoint):
    encoder = _encoder(checkpoint(family))
    if _adds_masks(encoder):
        pytest.skip("T5 of this transformers takes no finished mask")
    model = TransferModel(encoder, 3, tagging=False, pooling="mean").train()
    batch, labels = _batch(40), torch.tensor([0, 2, 1])
    seen = []
    for finished in (False, True):
        torch.manual_seed(4)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"), training_kernels(CPU):
            loss = model(**batch, labels=labels, finished=finished)["loss"]
        loss.backward()
        seen.append((loss.detach(), {name: weight.grad for name, weight in model.named_parameters()}))
        model.zero_grad()
    (loss, gradients), (other, others) = seen
    torch.testing.assert_close(other, loss)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, msg=name)
