"""From YAML text to a validated document, and from there to IR."""
