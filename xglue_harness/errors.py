"""Errors that a user can act on: each message names the cause and the way out."""

from __future__ import annotations

PREFIX = "xglue-harness: "
"""Before every error, warning and other remark of ours on the standard error stream, in lm_eval's command line, too."""


class XGlueError(Exception):
    """Base of all errors that the harness raises on purpose."""


class DataError(XGlueError):
    """A data file is missing or malformed; the message names file, line and what was expected."""


class RecipeError(XGlueError):
    """An option of ``--metadata`` is unknown or out of range; the message lists what is allowed."""


class EncoderError(XGlueError):
    """A checkpoint can't serve as an encoder; the message says why."""


class PromptError(XGlueError):
    """A prompt is malformed, or a language model can't be prompted or gives no usable answer."""


class TrainingError(XGlueError):
    """Training can't go on, for instance after a loss that is not finite."""


class StoreError(XGlueError):
    """The store of fine-tuned encoders can't be read or written; the message names the place."""


class LeaderboardError(XGlueError):
    """A contribution to the leaderboard can't be taken; the message names file and key, and what was expected."""


class SweepError(XGlueError):
    """A sweep's file is malformed, or its queue can't be read or written; the message names file and key."""
