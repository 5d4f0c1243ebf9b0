"""The training loop that the teacher, the scratch student and every distilled student share."""
