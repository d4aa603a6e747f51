"""Images in Parquet files: written once, checksummed, read in order or by chunks; not which images, nor why."""
