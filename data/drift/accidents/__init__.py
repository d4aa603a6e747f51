"""Accidents made to a small copy of two snapshots, and whether the drift rules notice them."""
