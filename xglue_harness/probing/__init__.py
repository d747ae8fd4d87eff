"""Frozen encoders: what of the transfer is there before any fine-tuning. The only place that imports mteb."""
