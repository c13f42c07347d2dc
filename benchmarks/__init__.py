"""Measurements beside peers, and of the compiler itself. They are run by hand and never tested by a clock."""
