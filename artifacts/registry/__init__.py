"""Registered versions, the champion pointer and the ledger. Stores what the gate decided; decides nothing itself."""
