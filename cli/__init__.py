"""The command line: what a person types. It holds no logic of its own."""
