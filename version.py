"""The version of netwright, as in pyproject.toml."""

VERSION = "0.1.0"
