"""Weights: files of tensors, how their keys map to our paths, and loading them."""
