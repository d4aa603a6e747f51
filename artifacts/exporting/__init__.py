"""A version for other software: its model converted by the field's own converters, and proof that it answers alike."""
