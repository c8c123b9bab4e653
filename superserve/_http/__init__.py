"""HTTP for this package: planes, connections, retries, and the meaning of each answer."""
