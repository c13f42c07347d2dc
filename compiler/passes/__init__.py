"""Passes: functions from a program and a context to a program. `compiler.pipeline` puts them in order."""
