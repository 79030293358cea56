"""Implement the command line, one file per command. Each parses its arguments, calls one workflow and prints."""
