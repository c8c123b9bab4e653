"""Running commands of sandboxes: an agent in file system, process and network namespaces of each sandbox."""
