"""The configuration of an experiment: read once, checked once, frozen."""
