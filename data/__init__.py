"""Fetch, check and normalise datasets, and store files; code only, the files lie under $NIGHTSHIFT_HOME."""
