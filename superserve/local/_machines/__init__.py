"""What carries builds out: made up, or by processes of this machine."""
