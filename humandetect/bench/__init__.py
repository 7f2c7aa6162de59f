"""`humandetect bench`: how fast, how large and how right servers and engines are, measured side by side."""
