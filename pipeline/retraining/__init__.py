"""Retraining that nobody watches: one tick at a time, noted in a ledger. TFX is not imported."""
