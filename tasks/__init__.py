"""The verbs: one file per step of the night, each a thin Prefect task around one call into data/ or artifacts/."""
