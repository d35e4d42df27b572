"""The command line: parse, call, print. One file per command; nothing here that Python users would miss."""
