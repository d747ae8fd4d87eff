"""What a result carries beside its score: the record (`schema`), its `provenance`, its cost and its predictions."""
