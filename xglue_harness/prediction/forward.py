"""The forward passes of a prediction: nothing in them waits for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from xglue_harness.encoders.attention_mask import takes_finished_mask
from xglue_harness.encoders.device import free_memory, is_out_of_memory
from xglue_harness.encoders.device_inputs import DeviceInputs, to_device
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.prediction.answers import Answers
from xglue_harness.prediction.token_budget import bytes_a_token, tokens_for

if TYPE_CHECKING:
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.prediction.hidden_states import Recorder


class ForwardPass:
    """A model that computes batches of inputs; its answers, and states that are wanted, stay on the device."""

    def __init__(
        self,
        model: TransferModel,
        inputs: Inputs,
        pad: int,
        device: torch.device,
        recorder: Recorder | None = None,
    ) -> None:
        """Copy the inputs to the device.

        Args:
            model: in evaluation mode, on ``device``.
            inputs: all inputs.
            pad: id of the padding subword.
            device: where they are computed.
            recorder: takes the hidden states that it wants.
        """
        self._model, self._device, self._recorder = model, device, recorder
        self._lengths = np.diff(inputs.starts.numpy())
        self._inputs = DeviceInputs(inputs, pad, device)
        self._finished_masks = False
        self.answers = Answers(inputs, device)

    def probe(self, memory: int) -> int:
        """Ask the encoder, by its longest input, whether it takes masks of which nothing is asked, and what it holds.

        Args:
            memory: bytes that the device has.

        Returns:
            Padded subwords of a batch.
        """
        longest = int(self._lengths.argmax())
        tensors = self._inputs.batch(to_device([longest], self._device), int(self._lengths[longest]))
        del tensors["labels"]
        segments, languages = tensors.get("token_type_ids"), tensors.get("languages")
        self._finished_masks = takes_finished_mask(self._model.encoder, tensors["input_ids"], segments, languages)
        return tokens_for(memory, bytes_a_token(self._model, tensors, finished=self._finished_masks))

    def compute(self, batch: np.ndarray) -> None:
        """Compute some inputs; where they do not fit into memory, one half after the other.

        Args:
            batch: ``[batch]`` their numbers, the longest first.
        """
        try:
            self._compute(batch)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
        else:
            return
        free_memory(self._device)  # outside the handler, whose traceback would hold on to the failed attempt's tensors
        for half in np.split(batch, [len(batch) // 2]):
            self.compute(half)

    def _compute(self, batch: np.ndarray) -> None:
        places = to_device(batch, self._device)
        tensors = self._inputs.batch(places, int(self._lengths[batch[0]]))
        del tensors["labels"]
        recording = self._recorder is not None and self._recorder.wants(batch)
        output = self._model(**tensors, finished=self._finished_masks, output_hidden_states=recording)
        if self._recorder is not None and recording:
            self._recorder.add(batch, output["hidden_states"], tensors["attention_mask"])
        self.answers.add(batch, output["logits"], tensors["attention_mask"])
