"""Zero-shot cross-lingual transfer on XGLUE for any Hugging Face encoder, as an lm-evaluation-harness plug-in.

This module stays empty on purpose: it is imported at every start of the interpreter (see ``hook.py``).
"""
