"""The Triton target: readable kernels and a launch plan."""
