"""Rows, in memory and in a state file."""
