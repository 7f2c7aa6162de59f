"""A model server that speaks TensorFlow Serving's protocol, for machines without TensorFlow Serving itself."""
