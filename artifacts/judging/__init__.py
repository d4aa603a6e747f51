"""From trained candidates to a verdict: scores them, has them served, asks the gate. The rules are in gate."""
