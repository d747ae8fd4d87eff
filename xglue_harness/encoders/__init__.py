"""Encoders: finding them in a checkpoint, feeding them text, putting heads on them."""
