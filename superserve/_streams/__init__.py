"""Reading event streams, and each event once over several connections. No I/O."""
