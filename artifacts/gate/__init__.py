"""May the candidate replace the champion? Pure arithmetic on what was measured: no files, no models, no clock."""
