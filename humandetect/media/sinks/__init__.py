"""Where results go: videos, pictures, texts, a window."""
