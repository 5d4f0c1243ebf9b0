"""Artifacts and data, wherever they lie: at a path on this machine, or at a URI."""
