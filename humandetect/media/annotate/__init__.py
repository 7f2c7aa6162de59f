"""What is drawn into pictures."""
