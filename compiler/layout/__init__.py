"""Orders in which the axes of a tensor can stand, and what each op makes of them (see `compiler.passes.layout`)."""
