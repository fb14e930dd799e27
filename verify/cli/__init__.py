"""The command `flatproof`: one module a command."""
