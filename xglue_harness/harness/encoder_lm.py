"""``--model hf-encoder``: an encoder for fine-tuning, of families that lm-eval's own ``hf`` refuses, too."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import torch
from lm_eval.api.model import LM

from xglue_harness.encoders.loading import encoder_of
from xglue_harness.errors import EncoderError

logger = logging.getLogger(__name__)


class EncoderLM(LM):
    """The encoder of a checkpoint, without decoder and language-modelling head.

    It answers transfer requests only (see `xglue_harness.harness.requests`).
    """

    def __init__(
        self,
        pretrained: str,
        revision: str = "main",
        subfolder: str = "",
        tokenizer: str | None = None,
        device: str | None = None,
        dtype: str | torch.dtype = "float32",
        trust_remote_code: bool = False,
        use_fast_tokenizer: bool = True,
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
            device: ``cuda``, ``cuda:1``, ``cpu``, ...; a GPU where there is one.
            dtype: type of the weights as they are loaded (``auto``: as stored); training is in fp32 whatever it is.
            trust_remote_code: run code of the repository.
            use_fast_tokenizer: prefer the tokenizer written in Rust.
            batch_size: accepted from lm-eval, not used: the recipe's batch size counts.
            max_batch_size: as ``batch_size``.
            max_length: accepted from lm-eval's arguments; it becomes the recipe's ``max_length``.
            model_kwargs: passed on to ``AutoModel.from_pretrained``.

        Raises:
            EncoderError: for a decoder-only checkpoint, a tokenizer without padding, or an unknown ``dtype``.
        """
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        super().__init__()
        hub = {"revision": revision, "subfolder": subfolder, "trust_remote_code": trust_remote_code}
        self._device = _device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(tokenizer or pretrained, use_fast=use_fast_tokenizer, **hub)
        if self.tokenizer.pad_token_id is None:
            raise EncoderError(f"the tokenizer of {tokenizer or pretrained} has no padding token")
        config = AutoConfig.from_pretrained(pretrained, **hub)
        model_kwargs = {**_without_pooler(config), **model_kwargs}
        loaded = AutoModel.from_pretrained(pretrained, config=config, dtype=_dtype(dtype), **hub, **model_kwargs)
        self.config = loaded.config
        self.model: Any = encoder_of(loaded).to(self._device).eval()

    def get_model_info(self) -> dict[str, Any]:
        """Facts for lm-eval's results file."""
        return {
            "model_num_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "model_dtype": str(next(self.model.parameters()).dtype),
            "model_sha": getattr(self.config, "_commit_hash", None) or "",
        }

    def loglikelihood(self, requests: Any) -> Any:
        """Not what an encoder does."""
        raise self._refusal("loglikelihood")

    def loglikelihood_rolling(self, requests: Any) -> Any:
        """Not what an encoder does."""
        raise self._refusal("loglikelihood_rolling")

    def generate_until(self, requests: Any) -> Any:
        """Not what an encoder does."""
        raise self._refusal("generate_until")

    @staticmethod
    def _refusal(request: str) -> EncoderError:
        return EncoderError(f"hf-encoder answers the xglue_* tasks only; {request} tasks need --model hf")


def _dtype(name: str | torch.dtype) -> str | torch.dtype:
    found = name if isinstance(name, torch.dtype) or name == "auto" else getattr(torch, name, None)
    if isinstance(found, torch.dtype) or found == "auto":
        return found
    raise EncoderError(f"unknown dtype {name!r}: use auto, float32, bfloat16 or float16")


def _without_pooler(config: Any) -> dict[str, bool]:
    """BERT's kin have a pooler that is not used here, and is random where the checkpoint has none."""
    from transformers import MODEL_MAPPING

    model_class = MODEL_MAPPING.get(type(config), None)
    has_one = model_class is not None and "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if has_one else {}


def _device(wanted: str | None) -> torch.device:
    if wanted is None or wanted.startswith("cuda"):
        if torch.cuda.is_available():
            return torch.device(wanted or "cuda")
        logger.info("no CUDA here: the encoder goes to the CPU")
        return torch.device("cpu")
    return torch.device(wanted)
