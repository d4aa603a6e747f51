"""The command line: parses, calls and prints. What the commands do is in artifacts and data."""
