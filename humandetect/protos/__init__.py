"""Messages of TensorFlow Serving, as far as they are used here; tools/generate_protos.py makes the modules.

The wire format knows no names of messages: under a package name of their own they mean the same to every server, and
TensorFlow's own may be loaded in the same process.
"""
