"""What a browser, a house or a script sees of the cameras."""
