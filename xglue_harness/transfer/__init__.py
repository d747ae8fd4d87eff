"""One whole job: fine-tune an encoder on English, and predict every language that was asked for.

Knows nothing of lm_eval: it takes leaves with their documents and returns what came of each.
"""
