"""The server itself: its front door, the checks before each operation, and the assembly of all parts."""
