"""What images look like, whether that has drifted, and which of them are duplicates."""
