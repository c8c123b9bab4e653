"""What the API has: each resource with its routes, its rows and its checks."""
