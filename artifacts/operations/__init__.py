"""What a person asks of registered models, a file per command. Deciding is in gate, storing in registry."""
