"""What can be started: a file per deployable flow, the settings, and subpackages for commands, server and runs."""
