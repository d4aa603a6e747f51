"""Corrupted copies of the data, which the suites must catch: made of a sample where there are many images."""
