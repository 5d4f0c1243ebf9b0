"""What watches a training: progress, history, checkpoints."""
