"""What can be trained: a file per recipe, found by name. How it is trained is in training and optimization."""
