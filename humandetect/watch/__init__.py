"""Many live cameras in one process, for weeks: what `watch` does."""
