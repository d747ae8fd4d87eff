"""The only folder that imports lm_eval: when lm_eval changes, this folder changes."""
