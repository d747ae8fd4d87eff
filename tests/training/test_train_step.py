"""One step after another: the arithmetic of the transformers Trainer, whatever fits into memory."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import Trainer, TrainingArguments, get_linear_schedule_with_warmup

from tests.helpers.training import CPU, backbone, pairs, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.device import is_out_of_memory
from xglue_harness.encoders.heads import IGNORED, TransferModel
from xglue_harness.encoders.inputs import collate
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import TrainingError
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.optimisation import lr_multiplier
from xglue_harness.training.train_step import TrainStep

ROWS = {"pos": sentences(40), "xnli": pairs(40)}
BATCHES = [list(range(at, at + 8)) for at in range(0, 40, 8)] * 2


def _inputs(task):
    return tokenised(TASKS[task], ROWS[task], backbone().tokenizer, "en", 32)


def _train_step(task, **options):
    chosen, spec = recipe(task, **options), TASKS[task]
    torch.manual_seed(5)
    model = build_model(backbone(), spec, chosen)
    inputs = _inputs(task)
    words = len(inputs.labels) / 5 if model.tagging else None
    return TrainStep(
        model, chosen, inputs, steps=10, words_per_batch=words, pad=0, device=CPU, world=World(), counters=Counters()
    )


@pytest.mark.parametrize("task", ["pos", "xnli"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_ten_steps_give_the_weights_of_the_transformers_trainer(task, weight_decay, tmp_path):
    train_step = _train_step(task, weight_decay=weight_decay)
    for batch in BATCHES:
        train_step.step(batch)

    class MeanLoss(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids, labels):
            divisor = train_step._words_per_batch or len(labels)
            return {"loss": self.model(input_ids, attention_mask, token_type_ids, labels)["loss"] / divisor}

    class InOrder(Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    torch.manual_seed(5)
    reference = MeanLoss(build_model(backbone(), TASKS[task], recipe(task)))
    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=8, num_train_epochs=2, learning_rate=1e-2,
        warmup_steps=1, weight_decay=weight_decay, use_cpu=True, report_to="none", save_strategy="no",
        disable_tqdm=True, remove_unused_columns=False, logging_strategy="no",
    )  # fmt: skip
    inputs = _inputs(task)
    assert len(inputs) == 40
    InOrder(
        reference, arguments, data_collator=lambda batch: collate(inputs, batch, 0), train_dataset=list(range(40))
    ).train()
    for name, value in reference.model.state_dict().items():
        assert torch.allclose(value, train_step.model.state_dict()[name], atol=1e-6), name


def test_the_learning_rate_is_that_of_transformers():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 3, 20)
    for step in range(20):
        assert lr_multiplier(step, 3, 20) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert lr_multiplier(20, 3, 20) == 0
    assert lr_multiplier(0, 0, 5) == 1


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_a_batch_that_does_not_fit_is_split_and_the_result_stays(task, monkeypatch, caplog):
    whole, split = _train_step(task), _train_step(task)
    for batch in BATCHES:
        whole.step(batch)
    forward, sizes = TransferModel.forward, []

    def small(self, input_ids, *args, **kwargs):
        if input_ids.numel() > 30:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(input_ids.numel())
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(TransferModel, "forward", small)
    for batch in BATCHES:
        split.step(batch)
    assert max(sizes) <= 30
    assert split.counters.batch_splits > 1
    assert split.counters.real_tokens == whole.counters.real_tokens
    assert split.counters.final_loss == pytest.approx(whole.counters.final_loss, abs=1e-6)
    for name, value in whole.model.state_dict().items():
        assert torch.allclose(value, split.model.state_dict()[name], atol=1e-6), name
    assert "out of memory at step 1: batches of more than" in caplog.text
    assert "the effective batch stays 8" in caplog.text


def test_only_a_real_lack_of_memory_counts(monkeypatch):
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered, out of memory bounds"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    with pytest.raises(RuntimeError) as lack:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(lack.value)

    train_step = _train_step("xnli")

    def broken(self, *args, **kwargs):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(TransferModel, "forward", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        train_step.step(BATCHES[0])


def test_not_even_one_example_fits(monkeypatch):
    def never(self, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TransferModel, "forward", never)
    with pytest.raises(TrainingError, match="out of memory with a single example: try a smaller max_length"):
        _train_step("xnli").step(BATCHES[0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_step(bad, monkeypatch):
    forward, train_step = TransferModel.forward, _train_step("xnli")

    def explode(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        return {**output, "loss": output["loss"] * (bad if train_step.counters.step == 2 else 1)}

    monkeypatch.setattr(TransferModel, "forward", explode)
    first, second, third, *_ = BATCHES
    train_step.step(first)
    train_step.step(second)
    with pytest.raises(TrainingError, match=rf"the loss is {bad} at step 3: .*learning_rate"):
        train_step.step(third)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_names_its_step(bad):
    train_step = _train_step("xnli")
    first, second, *_ = BATCHES
    train_step.step(first)
    train_step.model.classifier.weight.register_hook(lambda gradient: gradient * bad)
    with pytest.raises(TrainingError, match=r"the gradient is (nan|inf) at step 2: .*learning_rate"):
        train_step.step(second)


def test_going_on_from_the_tensors_is_going_on():
    whole, first, second = _train_step("pos"), _train_step("pos"), _train_step("pos")
    for batch in BATCHES:
        whole.step(batch)
    for batch in BATCHES[:4]:
        first.step(batch)
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    second.counters.step = 4
    for batch in BATCHES[4:]:
        second.step(batch)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_losses_and_gradients_in_bf16_are_those_of_plain_autocast(task):
    """As the transformers Trainer computes them: a whole batch under torch.autocast."""
    train_step = _train_step(task, precision="bf16")
    for batch in BATCHES[:5]:
        weight = 1 / (train_step._words_per_batch or len(batch))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            expected = train_step.model(**collate(train_step.inputs, batch, 0))["loss"] * weight
        parameters = {n: p for n, p in train_step.model.named_parameters() if "token_type" not in n}
        expected_gradients = torch.autograd.grad(expected, parameters.values(), allow_unused=True)
        loss = train_step._backward(batch, weight)
        assert loss.item() == pytest.approx(expected.item(), rel=2e-3)
        for name, gradient in zip(parameters, expected_gradients, strict=True):
            if gradient is not None:
                distance = torch.linalg.vector_norm(parameters[name].grad - gradient)
                assert distance <= 0.03 * torch.linalg.vector_norm(gradient) + 1e-6, name
        train_step._optimisation.clear()


def test_weights_and_optimizer_stay_in_fp32_under_bf16():
    train_step = _train_step("xnli", precision="bf16")
    train_step.step(BATCHES[0])
    assert {tensor.dtype for tensor in train_step.tensors().values()} == {torch.float32}
    assert train_step.recipe.precision == "bf16"


def test_words_weigh_the_same_in_batches_of_short_and_of_long_sentences():
    train_step = _train_step("pos")
    seen = []
    for batch in BATCHES[:5]:
        tensors = collate(train_step.inputs, batch, 0)
        with torch.no_grad():
            total = train_step.model.eval()(**tensors)["loss"]
        seen.append((total, int((tensors["labels"] != IGNORED).sum())))
    per_word = sum(total for total, _ in seen) / sum(words for _, words in seen)
    assert sum(total / train_step._words_per_batch for total, _ in seen) / 5 == pytest.approx(per_word.item(), rel=1e-5)


def test_a_compiled_encoder_learns_the_same_under_the_same_names(monkeypatch):
    compiled, whole = torch.compile, []

    def without_a_compiler(function, **options):
        whole.append(options)
        return compiled(function, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", without_a_compiler)
    train_step, other = _train_step("pos", compile=True), _train_step("pos")
    for batch in BATCHES[:4]:
        train_step.step(batch)
        other.step(batch)
    assert whole == [{"dynamic": True}] * 2, "each of two layers, for all shapes"
    expected = other.model.state_dict()
    assert train_step.model.state_dict().keys() == expected.keys()
    for name, value in train_step.model.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name
