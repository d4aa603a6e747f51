"""Source files: fetched from mirrors, identified, and read as arrays; not what is in the images."""
