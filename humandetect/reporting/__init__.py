"""What people are shown of an analysis: one page, and a picture of where everybody stood."""
