"""``--model hf-encoder`` beside lm_eval's own ``hf``: arguments, adapters, families that ``hf`` refuses, processes."""

from __future__ import annotations

import json
import logging
import os

import pytest
import torch
import transformers

import xglue_harness.hook  # noqa: F401  (teaches lm_eval's hf)
from tests.helpers import families, tokenizers
from tests.helpers.torchrun import two_processes
from xglue_harness.encoders.backbone import encoder_of, merged, weights_sha256
from xglue_harness.errors import EncoderError
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.harness.requests import backbone_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


def _hf(folder, **arguments):
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(folder), device="cpu", **arguments)


def test_without_a_gpu_the_encoder_goes_to_the_cpu(checkpoint, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in (None, "cuda", "cuda:1", "cpu"):
        assert EncoderLM(str(checkpoint("mbert")), device=device).device == torch.device("cpu")
    assert "no CUDA here: the encoder goes to the CPU" in caplog.text


def test_types_are_those_of_hf(checkpoint, tmp_path):
    families.whole(checkpoint("xlmr")).to(torch.bfloat16).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(checkpoint("xlmr")).save_pretrained(tmp_path)
    for arguments in ({}, {"dtype": "auto"}, {"dtype": "float32"}, {"dtype": torch.float16}):
        ours, theirs = EncoderLM(str(tmp_path), device="cpu", **arguments), _hf(tmp_path, **arguments)
        assert weights_sha256(ours.model) == weights_sha256(encoder_of(theirs.model))
    with pytest.raises(EncoderError, match="unknown dtype 'float23': use auto, float32"):
        EncoderLM(str(tmp_path), dtype="float23")


def test_another_tokenizer_and_arguments_of_transformers_are_taken(checkpoint):
    lm = EncoderLM(
        str(checkpoint("xlmr")), tokenizer=str(checkpoint("mbert")), device="cpu", attn_implementation="eager"
    )
    assert type(lm.tokenizer).__name__ == "BertTokenizer"
    assert lm.model.config._attn_implementation == "eager"
    assert lm.get_model_info()["model_num_parameters"] == sum(p.numel() for p in lm.model.parameters())


def test_a_tokenizer_without_padding_is_refused(checkpoint, tmp_path):
    tokenizer = tokenizers.bytes_bpe()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="has no padding token"):
        EncoderLM(str(checkpoint("mbert")), tokenizer=str(tmp_path), device="cpu")


@pytest.mark.parametrize("added", [0, 7])
def test_adapters_give_the_same_encoder_with_hf_and_with_hf_encoder(added, checkpoint, tmp_path):
    peft = pytest.importorskip("peft")
    folder, adapter = tmp_path / "base", tmp_path / "adapter"
    model, tokenizer = families.whole(checkpoint("mbart50")), EncoderLM(str(checkpoint("mbart50"))).tokenizer
    model.resize_token_embeddings(len(tokenizer) + added)  # NLLB and mT5 have more rows than their tokenizers
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="SEQ_2_SEQ_LM"))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    wrapped.save_pretrained(adapter)

    theirs = _hf(folder, peft=str(adapter))
    before = weights_sha256(theirs.model)
    ours = EncoderLM(str(folder), peft=str(adapter), device="cpu")
    assert weights_sha256(ours.model) == weights_sha256(encoder_of(merged(theirs.model)))
    assert weights_sha256(ours.model) != weights_sha256(EncoderLM(str(folder), device="cpu").model)
    assert weights_sha256(theirs.model) == before
    assert weights_sha256(backbone_of(theirs).encoder) == weights_sha256(ours.model)
    assert weights_sha256(theirs.model) == before


def test_products_repeat_from_the_first_one_on(checkpoint, monkeypatch):
    """torch before 2.10 asks for the variable at the first product, which is that of a probe."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    backbone_of(EncoderLM(str(checkpoint("xlmr")), device="cpu"))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_an_adapter_of_the_body_is_refused_by_hf_which_would_leave_it_out(checkpoint, tmp_path):
    """peft only warns; the score of the bare encoder would stand under the adapter's name."""
    peft = pytest.importorskip("peft")
    folder, adapter = checkpoint("xlmr"), tmp_path / "adapter"
    body = transformers.XLMRobertaModel.from_pretrained(folder, add_pooling_layer=False)
    wrapped = peft.get_peft_model(body, peft.LoraConfig(r=2, target_modules=["query"]))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    wrapped.save_pretrained(adapter)
    with pytest.raises(EncoderError, match=r"does not fit .* no counterpart, .*use --model hf-encoder"):
        backbone_of(_hf(folder, peft=str(adapter)))
    changed = EncoderLM(str(folder), peft=str(adapter), device="cpu")
    assert weights_sha256(backbone_of(changed).encoder) != weights_sha256(backbone_of(_hf(folder)).encoder)


def test_hf_loads_families_without_a_language_model_and_says_so(checkpoint, caplog):
    assert type(_hf(checkpoint("deberta")).model).__name__ == "DebertaV2Model"
    assert caplog.text.count("deberta-v2 has no language-modelling head here: it can do the xglue_* tasks only") == 1


def test_hf_loads_all_others_as_ever(checkpoint, tmp_path, caplog):
    assert type(_hf(checkpoint("mbert")).model).__name__ == "BertLMHeadModel"
    assert type(_hf(checkpoint("t5")).model).__name__ == "T5ForConditionalGeneration"
    tokenizer = tokenizers.bytes_bpe()
    tokenizer.save_pretrained(tmp_path)
    transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1)
    ).save_pretrained(tmp_path)
    assert type(_hf(tmp_path).model).__name__ == "GPT2LMHeadModel"
    transformers.ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="Unrecognized configuration class"):
        _hf(tmp_path, backend="seq2seq")
    assert "no language-modelling head" not in caplog.text


def test_a_pooler_that_no_checkpoint_has_is_left_out_with_hf_too(tmp_path):
    tokenizer = tokenizers.bert()
    tokenizer.save_pretrained(tmp_path)
    config = transformers.MPNetConfig(vocab_size=len(tokenizer), **families.SIZES)
    transformers.MPNetForMaskedLM(config).save_pretrained(tmp_path)
    assert transformers.AutoModel.from_pretrained(tmp_path).pooler is not None, "the trap is gone"
    ours, theirs = EncoderLM(str(tmp_path), device="cpu").model, encoder_of(_hf(tmp_path).model)
    assert weights_sha256(ours) == weights_sha256(theirs)


PROCESS = """
import atexit, json, os, pathlib, sys
import torch
import xglue_harness.hook

def name_of(thread):
    try:
        return (thread / "comm").read_text()
    except (FileNotFoundError, ProcessLookupError):  # ended since the folder was listed
        return ""

def left():  # registered first, so that it is called last
    names = [name_of(thread) for thread in pathlib.Path("/proc/self/task").glob("*")]  # on Linux
    found = [torch.distributed.is_initialized(), *(name for name in names if "gloo" in name)]
    with open(f"{sys.argv[2]}/left-{os.environ['RANK']}", "w") as file:
        file.write(str(found))

atexit.register(left)
from lm_eval import evaluator_utils
from lm_eval.api.model import LM
from lm_eval.models.huggingface import HFLM
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.harness.requests import backbone_of

found = []
for lm in (EncoderLM(sys.argv[1]), HFLM(pretrained=sys.argv[1], device="cpu")):
    gathered = lm.all_gather(torch.tensor([lm.rank + 10]))
    if hasattr(LM, "gather_object"):
        objects = lm.gather_object({"from": lm.rank}, dst=0)
    else:  # lm-eval 0.5 gathers them itself
        objects = evaluator_utils.torch_gather_object({"from": lm.rank}, rank=lm.rank, world_size=lm.world_size, dst=0)
    lm.barrier()
    found.append([lm.rank, lm.world_size, lm.device.type, gathered.tolist(), objects])
with open(f"{sys.argv[2]}/{lm.rank}.json", "w") as file:
    json.dump(found, file)
"""


@pytest.mark.processes
def test_each_of_several_processes_knows_its_rank(checkpoint, tmp_path):
    (tmp_path / "process.py").write_text(PROCESS)
    done = two_processes([str(tmp_path / "process.py"), str(checkpoint("mbert")), str(tmp_path)])
    assert "Traceback" not in done.stderr, done.stderr  # what fails at exit leaves the exit status as it is
    for rank in (0, 1):
        assert (tmp_path / f"left-{rank}").read_text() == "[False]", "a thread that is left may abort the process"
        objects = [{"from": 0}, {"from": 1}] if rank == 0 else None
        for found in json.loads((tmp_path / f"{rank}.json").read_text()):
            assert found == [rank, 2, "cpu", [10, 11], objects]
