"""`xglue_harness.analyze.sentences` under its name of before, for notebooks that import it."""

from xglue_harness.analyze.sentences import task_texts

__all__ = ["task_texts"]
