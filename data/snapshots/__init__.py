"""Data that grows: what a source held each night, item by item, and what changed; pixels lie in shards."""
