"""What is measured of models on the test split, and what they cost."""
