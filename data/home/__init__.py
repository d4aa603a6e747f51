"""The home on disk: where files are, how they are written and locked, who is running; nothing about datasets."""
