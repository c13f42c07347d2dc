"""What joins the parts: from a spec to a running program, and everything a command or a script asks for on the way."""
