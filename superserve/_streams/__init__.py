"""Reading event streams; across reconnects, each event once. No I/O."""
