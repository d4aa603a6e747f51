"""Is the data as expected? The suites, the corrupted copies that they must catch, and the results."""
