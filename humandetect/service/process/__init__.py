"""The processes behind the endpoint: how they begin, share a port, and end."""
