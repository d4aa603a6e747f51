"""The examination behind `nightshift doctor`: environment, home and server, with what mends itself."""
