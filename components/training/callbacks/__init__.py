"""What watches a training: progress, history, best epoch, checkpoints."""
