"""One module per kind of source, each of which turns places into batches of images, labels and splits."""
