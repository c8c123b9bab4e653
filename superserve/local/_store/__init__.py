"""Rows: in memory, and in a file that keeps them."""
