"""How good a model is on images it was not trained on, and which candidate the gate judges."""
