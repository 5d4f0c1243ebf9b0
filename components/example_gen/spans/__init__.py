"""Data that come span by span: which spans a run takes, and how their images are split."""
