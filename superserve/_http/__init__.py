"""How this package speaks HTTP: planes, connections, retries, and what an answer means."""
