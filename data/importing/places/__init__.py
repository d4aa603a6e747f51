"""Where sources lie, as lists of files: folders, archives, buckets and web addresses; nothing is extracted by name."""
