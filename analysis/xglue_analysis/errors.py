"""The error that a user can act on."""

from __future__ import annotations


class AnalysisError(Exception):
    """What was given can't be analysed: the message names the cause and the way out."""
