"""Teacher and Scratch: TFX Trainers over the shared training loop."""
