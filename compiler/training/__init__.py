"""Training as a graph: losses are differentiated and optimizers written out, so that a step is an ordinary entry."""
