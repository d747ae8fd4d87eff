"""Measures of the encoder beside its scores, found through the entry points ``xglue_harness.diagnostics``.

`xglue_harness.diagnostics.context` has what a diagnostic may look at, `xglue_analysis.result` what it returns,
 `xglue_harness.diagnostics.run` finds and calls it.
"""
