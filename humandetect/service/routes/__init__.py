"""What can be asked of the endpoint."""
