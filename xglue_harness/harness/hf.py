"""What lm-eval's own ``--model hf`` lacks for encoders: it learns it here, when lm_eval has loaded it.

Imports nothing heavy: it is imported with the tasks, long before any model is asked for.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
from typing import Any

from xglue_harness.exclusive import one_thread

logger = logging.getLogger(__name__)


def adapt() -> None:
    """Teach ``HFLM``, where lm_eval has loaded it; once."""
    module = sys.modules.get("lm_eval.models.huggingface")
    model = getattr(module, "HFLM", None)  # None while the module is being loaded
    if model is None or getattr(model, "_knows_encoders", False):
        return
    _load_encoders(model)
    _count_processes(model)
    model._knows_encoders = True


class Body:
    """In the place of an Auto class: a model without a head, and without the pooler that no checkpoint may have."""

    @staticmethod
    def from_pretrained(pretrained: str, **arguments: Any) -> Any:
        """As ``AutoModel.from_pretrained``."""
        from transformers import AutoConfig, AutoModel

        from xglue_harness.encoders.checkpoint import without_pooler

        hub = {key: arguments[key] for key in ("revision", "subfolder", "trust_remote_code") if key in arguments}
        config = AutoConfig.from_pretrained(pretrained, **hub)
        return AutoModel.from_pretrained(pretrained, **without_pooler(config), **arguments)


def _load_encoders(model: Any) -> None:
    """Let ``hf`` load families that have no causal head (ModernBERT, DeBERTa-v2, ...) instead of refusing them."""
    original = model._get_backend

    @functools.wraps(original)
    def _get_backend(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        from transformers import MODEL_MAPPING, AutoModel, AutoModelForCausalLM

        from xglue_harness.encoders.checkpoint import language_model

        original(self, config, *args, **kwargs)
        remote = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
        chosen = self.AUTO_MODEL_CLASS is AutoModelForCausalLM and language_model(config) is AutoModel
        if chosen and not remote and type(config) in MODEL_MAPPING:
            logger.warning(
                "%s has no language-modelling head here: it can do the xglue_* tasks only", config.model_type
            )
            self.AUTO_MODEL_CLASS = Body

    model._get_backend = _get_backend


def several_processes() -> bool:
    """Whether a launcher (``accelerate launch``, ``torchrun``) has started this process as one of several.

    accelerate joins processes on CPUs only where it is told to, which ``torchrun`` does not do: it is told here. Else
    every process would take itself for the only one, and all would do the same work.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return False
    import torch

    available = torch.accelerator.is_available if hasattr(torch, "accelerator") else torch.cuda.is_available
    if not available():
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    if torch.distributed.is_available() and not torch.distributed.is_initialized():
        # Its functions take for a default the group that there is when they are defined. Imported later, as it is with
        # an encoder, they would hold the group, and so its threads, until the interpreter is gone: see `_leave`.
        import torch.distributed.nn.functional
    atexit.unregister(_leave)
    atexit.register(_leave)
    return True


def _leave() -> None:
    """End gloo's threads before the interpreter goes: one that still runs then may abort a process that is done.

    After a collective a thread of gloo drops the last hold on tensors, which takes Python's lock. On a busy machine it
    may come to that when the interpreter is going already: Python ends the thread, in the midst of a destructor, and
    C++ calls ``std::terminate`` (pytorch issue 190489). So the group must be gone by then, which waits for its threads.
    """
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized() and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()


def _count_processes(model: Any) -> None:
    """Let ``hf`` know its rank wherever it is one of several processes.

    lm-eval 0.4.13 sets rank and world size only where a machine has several GPUs; on CPUs, or with one GPU a machine,
    every process would score everything. Over several machines it takes the rank within the machine for the rank.
    """
    original = model.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        several_processes()
        with one_thread():  # weights that a checkpoint lacks are drawn
            original(self, *args, **kwargs)
        accelerator = getattr(self, "accelerator", None)  # only there with several processes
        if accelerator is not None:
            self._rank, self._world_size = accelerator.process_index, accelerator.num_processes

    model.__init__ = __init__
