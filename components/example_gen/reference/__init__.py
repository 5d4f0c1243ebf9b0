"""Labelled images beside a data set, never trained on, by which students of different runs are compared."""
