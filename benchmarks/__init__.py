"""Where the numbers in README.md and docs/log.md come from."""
