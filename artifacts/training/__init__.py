"""From prepared data to a trained model: resumable, repeatable, on one device. The compiled loop is in optimization."""
