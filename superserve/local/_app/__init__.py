"""The server itself: its front door, what each request meets first, and what puts it together."""
