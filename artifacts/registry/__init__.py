"""Registered versions, the champion pointer and the ledger: stores what was decided, and decides nothing."""
