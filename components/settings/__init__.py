"""The configuration of each node, as frozen values."""
