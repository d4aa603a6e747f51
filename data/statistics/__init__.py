"""Numbers about images: one row per image, and what follows for a dataset; no limits, no judgement."""
