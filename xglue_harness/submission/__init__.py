"""XGLUE's submission format: scoring a folder of predictions, and writing one from results."""
