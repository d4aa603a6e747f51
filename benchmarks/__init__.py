"""Measurements: where the numbers in README.md, docs/benchmarks.md and docs/log.md come from."""
