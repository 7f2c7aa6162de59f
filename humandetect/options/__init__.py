"""The options of the commands, each described once: same name, meaning and environment variable everywhere."""
