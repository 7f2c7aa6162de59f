"""A crowd comes out whole, up to the hundred boxes that the models' graphs give."""

from __future__ import annotations

import av
import cv2
import numpy as np
import supervision as sv

from humandetect.detection.detector import open_detector
from humandetect.models.find import bundled

SIDE = 10


def test_a_hundred_people_are_a_hundred() -> None:
    with av.open(str(bundled("examples/plaza.mp4"))) as clip:
        frame = next(frame for index, frame in enumerate(clip.decode(video=0)) if index == 108)
    walker = cv2.resize(frame.to_ndarray(format="bgr24")[140:250, 503:581], None, fx=1.5, fy=1.5)
    crowd = np.tile(walker.astype(np.uint8), (SIDE, SIDE, 1))
    with open_detector(engine="openvino", precision="f32", size="far") as detector:
        people = detector.detect(crowd)
    places = people.get_anchors_coordinates(sv.Position.CENTER) // [walker.shape[1], walker.shape[0]]
    assert sorted(map(tuple, places.tolist())) == [(x, y) for x in range(SIDE) for y in range(SIDE)]
