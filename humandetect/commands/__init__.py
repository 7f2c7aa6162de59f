"""The commands: each turns options into a config, makes one library call, and prints what came of it."""
