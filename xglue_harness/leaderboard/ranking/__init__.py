"""Checked results with intervals, ranks and families."""
