"""What a run leaves for its user, and what is read of it later."""
