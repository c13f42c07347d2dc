"""The formula language: text to a syntax tree, and the evaluation of what is static."""
