"""Whether the candidate may replace the champion: pure arithmetic on measurements. No files, no models, no clock."""
