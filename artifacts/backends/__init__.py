"""What differs between TensorFlow and JAX, behind one protocol; everything else is written once, in keras.ops."""
