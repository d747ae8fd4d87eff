"""One process of several, as ``accelerate launch`` and ``torchrun`` start them."""

from __future__ import annotations

import atexit
import os


def prepare_multiprocess() -> bool:
    """Whether a launcher (``accelerate launch``, ``torchrun``) has started this process as one of several.

    accelerate joins processes on CPUs only where it is told to, which ``torchrun`` does not do: it is told here. Else
    every process would take itself for the only one, and all would do the same work.

    Raises:
        EncoderError: where this is one of several that have GPUs, and nothing says which one is its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return False
    import torch

    available = torch.accelerator.is_available if hasattr(torch, "accelerator") else torch.cuda.is_available
    if not available():
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    elif "RANK" in os.environ and "LOCAL_RANK" not in os.environ:
        from xglue_harness.errors import EncoderError

        # accelerate would take the process for the only one: all would train the same on one GPU.
        raise EncoderError(
            f"this is process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}, and LOCAL_RANK, which says which GPU "
            "is its own, is not set: start with torchrun or accelerate launch, or set it (srun: to $SLURM_LOCALID)"
        )
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
