"""Well-known scripts as recipes, faithful to the originals (benchmarks/fidelity.py). Others go one level up."""
