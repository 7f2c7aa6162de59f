"""The endpoint: HTTP in, people out."""
