"""Prepared data: splits chosen by content, written to Parquet and read again."""
