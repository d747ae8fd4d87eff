"""``xglue-harness analyze``: `xglue_analysis` on encoders, data and results, with tables and figures."""
