"""Language models that answer by being prompted: prompts, and what their answers mean. Knows nothing of lm_eval."""
