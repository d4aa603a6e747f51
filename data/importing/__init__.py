"""Reading what people bring: folders, tables, arrays, IDX files and archives become a dataset's four IDX files."""
