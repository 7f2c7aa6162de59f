"""Engine "tf-serving": a model behind one or more TensorFlow Servings, without TensorFlow here."""
