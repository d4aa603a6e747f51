"""Tonight's data compared with the nights before: shifts, and what an accident or an attack would do to a snapshot."""
