"""What people do with registered models, a file per command. Deciding is in `gate`, storing in `registry`."""
