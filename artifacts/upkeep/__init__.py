"""What keeps a home sound: checks of all that lies in it, repairs that need no guess, and what may be removed."""
