"""Damaged and hostile files for every reader of files from outside: a bounded run in the suite, a long one by hand."""
