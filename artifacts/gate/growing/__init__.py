"""The comparison on a test set to which images are added: what counts as evidence, and what a look may spend."""
