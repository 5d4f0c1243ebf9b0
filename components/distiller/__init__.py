"""Distiller: trains a student on what the teacher said."""
