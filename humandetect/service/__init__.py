"""The endpoint: HTTP in, people out. What its processes must agree on stands here, where it costs nothing."""

ANSWER_SECONDS = 25
"""Once a server is told to end: for the answers under way."""
END_SECONDS = 28
"""For everything; a hung engine cannot be joined."""
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable: the folder through which worker processes share their numbers. prometheus-client reads it while
it is imported, so it is set first thing in each worker, and only there."""
