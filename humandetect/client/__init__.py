"""Asking a server for people, over HTTP."""
