"""Images without labels: in place of labelled ones in all splits but the test split, or beside them."""
