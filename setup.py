"""Lets Beam's remote workers install the project; everything is said in pyproject.toml."""

from setuptools import setup

setup()
