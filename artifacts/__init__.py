"""What goes out: code that trains, judges and registers models (what runs produce lies under $NIGHTSHIFT_HOME)."""
