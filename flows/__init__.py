"""What can be started: one file per deployable flow, plus the command line and the settings."""
