"""What runs commands of sandboxes: an agent in a file system, process and network space of each sandbox's own."""
