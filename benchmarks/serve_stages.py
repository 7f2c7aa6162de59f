"""The pictures of benchmarks/serve.py, who is in them, and what each stage of an answer costs alone."""

from __future__ import annotations

import base64
import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from common import Cost, measured, print_table
from load import Answers, Question, people_of

from humandetect.base64_pictures import decode_base64
from humandetect.detection.agreement import compare
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.frames import DetectedFrame, Frame, people_in
from humandetect.media.images import decode_image, encode_jpeg
from humandetect.wire import BatchAnswer, BatchErrors, BatchRequest, ImageOut, Person

if TYPE_CHECKING:
    from collections.abc import Callable

    import supervision as sv

    from humandetect.detection.detector import Detector

IMAGES_A_REQUEST = 16
FORMATS = ("JPEG", "PNG")


class Known:
    """The pictures, who is in them, and requests made of them."""

    def __init__(self, pictures: list[bytes], detector: Detector) -> None:
        self.pictures = pictures
        self.images = [decode_image(picture, max_megapixels=50) for picture in pictures]
        self.detections = [detector.detect(image) for image in self.images]
        self.people = [_persons(found) for found in self.detections]
        self.certain = detector.score + 0.02
        self.batches = [self._batch(start) for start in range(0, len(pictures), IMAGES_A_REQUEST // 2)]
        self.singles = [
            Question("/v1/detect", picture, "image/jpeg", (index,)) for index, picture in enumerate(pictures)
        ]

    def _batch(self, start: int) -> Question:
        indices = tuple(index % len(self.pictures) for index in range(start, start + IMAGES_A_REQUEST))
        entries = [{"image": base64.b64encode(self.pictures[index]).decode(), "id": str(index)} for index in indices]
        return Question("/request", json.dumps({"input": entries}).encode(), "application/json", indices)

    def check(self, answers: Answers) -> None:
        """Print what is wrong with the answers: a rate counts only if they are right."""
        wrong = 0
        for question, body in answers.kept:
            for index, people in zip(question.indices, people_of(body) or (), strict=False):
                found = [Person(**person) for person in people]
                seen, expected, unexpected = compare(found, self.people[index], certain=self.certain)
                wrong += seen != expected or unexpected > 0
        if wrong or set(answers.statuses) != {200}:
            print(f"\n**WRONG**: {wrong} images with other people; statuses {dict(answers.statuses)}")


def _persons(found: sv.Detections) -> list[Person]:
    return [Person(box=person.box, score=person.score) for person in people_in(found)]


def print_stages(known: Known, detector: Detector, rounds: int) -> float:
    """Print the CPU time an image of each stage; return their sum in ms."""
    stages: dict[str, Callable[[Known, Detector], Cost]] = {
        "JSON in and out": _json, "base64, JPEG decode": _decode, "shrink": _shrink, "infer": _infer, "draw": _draw,
        "JPEG encode, base64": _encode,
    }  # fmt: skip
    costs: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(rounds):
        for name, stage in stages.items():
            costs[name].append(stage(known, detector).cpu_ms)
    medians = {name: statistics.median(values) for name, values in costs.items()}
    total = sum(medians.values())
    rows = [[name, f"{value:.2f}"] for name, value in [*medians.items(), ("sum", total)]]
    title = f"Each stage alone: at most {limit_of(total):.1f} images/s on {os.cpu_count()} cores"
    print_table(title, ["", "CPU ms an image"], rows)
    return total


def limit_of(cpu_ms: float) -> float:
    """Return the images/s that these cores have time for."""
    return (os.cpu_count() or 1) * 1000 / cpu_ms


def _json(known: Known, _: Detector) -> Cost:
    picture = base64.b64encode(known.pictures[0]).decode()
    output = [ImageOut(annotated_image=picture, id="0", people=people) for people in known.people[:IMAGES_A_REQUEST]]
    with measured() as cost:
        for question in known.batches:
            BatchRequest.model_validate_json(question.body)
            BatchAnswer(output=output, errors=BatchErrors()).model_dump_json(exclude_unset=True).encode()
            cost.frames += IMAGES_A_REQUEST
    return cost


def _decode(known: Known, _: Detector) -> Cost:
    texts = [base64.b64encode(picture).decode() for picture in known.pictures]
    with measured() as cost:
        for text in texts:
            decode_image(decode_base64(text, max_bytes=5_000_000), max_megapixels=50, formats=FORMATS)
        cost.frames = len(texts)
    return cost


def _shrink(known: Known, detector: Detector) -> Cost:
    with measured() as cost:
        for image in known.images:
            detector.prepare(image)
        cost.frames = len(known.images)
    return cost


def _infer(known: Known, detector: Detector) -> Cost:
    """Keep the engine as busy as the endpoint does, with batches of the same size."""
    info = detector.engine.info
    ready = [detector.prepare(image) for image in known.images] * 3
    batches = [ready[at : at + info.best_batch] for at in range(0, len(ready), info.best_batch)]
    with ThreadPoolExecutor(info.parallel) as pool, measured() as cost:
        for _ in pool.map(detector.infer, batches):
            pass
        cost.frames = len(ready)
    return cost


def _draw(known: Known, _: Detector) -> Cost:
    frames = [Frame(image.copy(), index=0, time_seconds=0.0, source="") for image in known.images]
    annotator = Annotator()
    with measured() as cost:
        for frame, detections in zip(frames, known.detections, strict=True):
            annotator.draw(DetectedFrame(frame, detections))
        cost.frames = len(frames)
    return cost


def _encode(known: Known, _: Detector) -> Cost:
    with measured() as cost:
        for image in known.images:
            base64.b64encode(encode_jpeg(image))
        cost.frames = len(known.images)
    return cost
