"""One module for each command, imported when the command is typed: `COMMANDS` of `cli.main` is the table."""
