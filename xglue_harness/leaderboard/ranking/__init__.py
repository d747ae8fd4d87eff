"""Validated results with intervals, ranks and families."""
