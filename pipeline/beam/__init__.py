"""Beam's runner: which options choose it, whether it can be reached, and how nodes are given it."""
