"""What is wrong with a dataset, whatever it pins as expected: rules, sentences, a picture."""
