"""Distiller: trains a student on its teacher's predictions."""
