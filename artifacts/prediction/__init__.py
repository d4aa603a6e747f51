"""Asking a registered model about images: where they come from, what they hold, what the model answers."""
