"""How a run behaves whatever it does: queueing, records, fan-out, crash handling, the types of the run form."""
