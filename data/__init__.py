"""What comes in: code that fetches, checks and normalises datasets (what runs produce lies under $NIGHTSHIFT_HOME)."""
