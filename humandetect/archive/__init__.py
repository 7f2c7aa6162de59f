"""Days of video by many workers, each frame exactly once: what `archive` does."""
