"""From sources to results: the loops that read, find and write."""
