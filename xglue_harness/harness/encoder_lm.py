"""``--model hf-encoder``: an encoder for fine-tuning, of families that lm-eval's own ``hf`` refuses, too."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn

import torch
from lm_eval.api.model import LM

from xglue_harness.encoders.adapters import adapted_encoder
from xglue_harness.encoders.checks import device_of
from xglue_harness.encoders.loading import (
    Checkpoint,
    commit_of,
    load_config,
    load_encoder,
    load_tokenizer,
    load_whole,
)
from xglue_harness.errors import EncoderError
from xglue_harness.exclusive import one_thread
from xglue_harness.harness.model_arguments import check_strings, check_switches
from xglue_harness.harness.processes import prepare_multiprocess
from xglue_harness.recipe import Options

logger = logging.getLogger(__name__)


class EncoderLM(LM):
    """The encoder of a checkpoint, without decoder and language-modelling head.

    It answers transfer requests only (see `xglue_harness.harness.requests`). Started by ``accelerate launch`` or
    ``torchrun``, it is one of several processes, as lm-eval's own ``hf`` is.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str = "main",
        subfolder: str = "",
        tokenizer: str | None = None,
        device: str | None = None,
        dtype: str | torch.dtype = "auto",
        trust_remote_code: bool = False,
        use_fast_tokenizer: bool = True,
        peft: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        max_length: int | None = None,
        **model_kwargs: Any,
    ) -> None:
        """Load an encoder.

        Args:
            pretrained: Hub id or folder of a checkpoint.
            revision: branch, tag or commit on the Hub.
            subfolder: folder within the repository.
            tokenizer: Hub id or folder of another tokenizer.
            device: ``cuda``, ``cuda:1``, ``cpu``, ...; a GPU where there is one. Several processes each take their own.
            dtype: type of the weights as they are loaded (``auto``: as stored); training is in fp32 whatever it is.
            trust_remote_code: run code of the repository.
            use_fast_tokenizer: prefer the tokenizer written in Rust.
            peft: Hub id or folder of an adapter that is merged into the weights.
            batch_size: accepted from lm-eval, not used: the recipe's batch size counts.
            max_batch_size: as ``batch_size``.
            max_length: accepted from lm-eval's arguments; it becomes the recipe's ``max_length``.
            model_kwargs: passed on to ``from_pretrained``; options of the tasks among them are the tasks'.

        Raises:
            EncoderError: for a checkpoint that can't be loaded or has no encoder, a tokenizer without vocabulary or
                padding, an adapter that can't be merged, an unknown ``dtype`` or ``device``, or a name that lm-eval's
                parser has made a number of.
        """
        given = {"pretrained": pretrained, "revision": revision, "subfolder": subfolder, "tokenizer": tokenizer}
        check_strings({**given, "peft": peft, **model_kwargs})
        check_switches({"trust_remote_code": trust_remote_code, "use_fast_tokenizer": use_fast_tokenizer})
        model_kwargs = {name: value for name, value in model_kwargs.items() if name not in Options.model_fields}
        super().__init__()
        self._device = self._join(device)
        checkpoint = Checkpoint(pretrained, revision, subfolder, bool(trust_remote_code))
        self.revision = revision
        self.config = config = load_config(checkpoint)
        words = Checkpoint(tokenizer or pretrained, revision, subfolder, bool(trust_remote_code))
        self.tokenizer = load_tokenizer(words, use_fast=use_fast_tokenizer)
        self.model: Any
        with one_thread():  # weights that a checkpoint lacks are drawn
            if peft:
                whole = load_whole(checkpoint, config, dtype=_dtype(dtype), **model_kwargs)
                self.model = adapted_encoder(whole, peft, vocabulary=len(self.tokenizer), revision=revision)
            else:
                self.model = load_encoder(checkpoint, config, dtype=_dtype(dtype), **model_kwargs)
        self.model = self.model.to(self._device).eval()

    def _join(self, wanted: str | None) -> torch.device:
        """Become one of the processes, where there are several; returns the device."""
        if not prepare_multiprocess():
            return _device(wanted)
        from accelerate import Accelerator, InitProcessGroupKwargs

        # Others wait while one process trains or fetches: as in lm_eval, that is no reason to give up.
        self.accelerator = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(weeks=52))])
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        return self.accelerator.device  # type: ignore[no-any-return]

    @property
    def tokenizer_name(self) -> str:
        """Asked for with ``--apply_chat_template``, which has no effect here: there is no chat with an encoder."""
        return str(self.tokenizer.name_or_path)

    def chat_template(self, chat_template: bool | str = False) -> str:
        """There is none: the texts themselves are read."""
        return ""

    def apply_chat_template(
        self, chat_history: Sequence[Mapping[str, object]], add_generation_prompt: bool = True
    ) -> str:
        """The turns' text as it is."""
        return "\n".join(str(turn["content"]) for turn in chat_history)

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensors of all processes, one after the other."""
        return tensor if self.world_size <= 1 else self.accelerator.gather(tensor)

    def gather_object(self, obj: object, dst: int = 0) -> list[object] | None:
        """The objects of all processes in process ``dst``, ``None`` in the others."""
        if self.world_size <= 1:
            return [obj]
        gathered: list[object] | None = [None] * self.world_size if self.rank == dst else None
        torch.distributed.gather_object(obj, gathered, dst=dst)
        return gathered

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            self.accelerator.wait_for_everyone()

    def get_model_info(self) -> dict[str, int | str]:
        """Facts for lm-eval's results file."""
        return {
            "model_num_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "model_dtype": str(next(self.model.parameters()).dtype),
            "model_sha": commit_of(self.config, str(self.config.name_or_path), self.revision) or "",
        }

    def loglikelihood(self, requests: object) -> NoReturn:
        """Not what an encoder does."""
        raise self._refusal("loglikelihood")

    def loglikelihood_rolling(self, requests: object) -> NoReturn:
        """Not what an encoder does."""
        raise self._refusal("loglikelihood_rolling")

    def generate_until(self, requests: object) -> NoReturn:
        """Not what an encoder does."""
        raise self._refusal("generate_until")

    @staticmethod
    def _refusal(request: str) -> EncoderError:
        return EncoderError(f"hf-encoder answers the xglue_* tasks only; {request} tasks need --model hf")


def _dtype(name: str | torch.dtype) -> str | torch.dtype:
    dtype = name if isinstance(name, torch.dtype) or name == "auto" else getattr(torch, str(name), None)
    if dtype == "auto" or (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        return dtype
    raise EncoderError(f"unknown dtype {name!r}: use auto, float32, bfloat16 or float16")


def _device(wanted: str | None) -> torch.device:
    if wanted is None or wanted.startswith("cuda"):
        if torch.cuda.is_available():
            return device_of(wanted or "cuda")
        logger.info("no CUDA here: the encoder goes to the CPU")
        return torch.device("cpu")
    return device_of(wanted)
