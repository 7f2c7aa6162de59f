"""A model server that speaks TensorFlow Serving's protocols, for machines without TensorFlow Serving itself.

Clients see no difference in Predict, GetModelMetadata, GetModelStatus and HandleReloadConfigRequest: same messages,
codes and texts. What is different on purpose:

* Classify, Regress and MultiInference answer UNIMPLEMENTED; of the health service there is Check only.
* A version that cannot be loaded leaves its place to the next older one, also at the start, and is tried again as soon
  as its files change. A server of which a model has nothing to serve does not start, where TensorFlow Serving waits.
* A base_path that vanishes is that model's own affair. The same version number in another base_path is loaded anew.
* A new list of models that cannot be served changes nothing at all.
"""
