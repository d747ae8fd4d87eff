"""Generator of the embedded sample: a miniature of the eight XGLUE tasks in the official file layout.

Everything is written by us: ``lexicon/<language>.yaml`` holds words, phrases and sentences with slots, the modules draw
language-neutral rows (keys into the lexicons) and write each row in every language of its task. Row i of a dev or test
file therefore means the same, and has the same label, in every language.
"""
