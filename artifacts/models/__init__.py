"""What a model's folder consists of, and how its files are written and read."""
