"""From trained candidates to a verdict: scoring, the serving check, the gate. The gate's rules are in `gate`."""
