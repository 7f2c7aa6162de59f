"""HTTP for clients that keep up: what plain uvicorn lacks."""
