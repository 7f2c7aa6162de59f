"""COCO's classes, in the three ways in which detectors number them."""

from __future__ import annotations

_NAMES = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -, stop sign, "
    "parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack, umbrella, "
    "-, -, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, "
    "skateboard, surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple, "
    "sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, "
    "dining table, -, -, toilet, -, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, "
    "refrigerator, -, book, clock, vase, scissors, teddy bear, hair drier, toothbrush"
)

COCO_91 = {number: name for number, name in enumerate(_NAMES.split(", "), start=1) if name != "-"}
"""By COCO's own numbers, 1 to 90 with gaps; class 0 is the background."""
COCO_90 = {number - 1: name for number, name in COCO_91.items()}
COCO_80 = dict(enumerate(COCO_91.values()))
"""Without the gaps."""


def labels_by_count(classes: int) -> dict[int, str]:
    """Name the classes of a model that says only how many it has; empty where that tells nothing."""
    return {1: {0: "person"}, 80: COCO_80, 90: COCO_90, 91: COCO_91}.get(classes, {})
