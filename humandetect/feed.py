"""Send a video to a server and bring back what it found: reader -> requests under way -> sinks, in order."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.client.detect_client import NO_SUCH_ROUTE, DetectClient, ImageOutcome
from humandetect.config import ServeConfig
from humandetect.config.settings import config_from_environment
from humandetect.detection.batching import Batcher
from humandetect.errors import RequestFailed, ServiceAway, ServiceError, SourceError
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.frames import DetectedFrame
from humandetect.media.images import decode_image, encode_jpeg
from humandetect.pipeline.run import Progress, run_with
from humandetect.service.process.spawned import spawned

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import supervision as sv
    from numpy.typing import NDArray

    from humandetect.config import FeedConfig
    from humandetect.media.frames import Frame
    from humandetect.pipeline.summary import RunSummary
    from humandetect.wire import Found, ModelUsed, Person

    Requests = Batcher[NDArray[np.uint8], ImageOutcome]
    Ask = Callable[[Sequence[bytes]], list[ImageOutcome]]

LARGEST_IMAGE_BYTES = 5_000_000
"""Servers take images under this."""
LOWER_QUALITIES = (90, 80, 60, 40)
"""For frames that would be too large."""
BATCH_WAIT_SECONDS = 0.1
"""How long a batch that is not full waits for more frames."""
USUAL_TRACK_SCORES = (0.5, 0.3)
"""For servers that do not say what their model's are."""
FAILURES_IN_A_ROW = 100
"""A server that fails at so many frames will not do better at the rest of the film."""


class FeedProgress(Progress, Protocol):
    """Whoever wants to be told how far a feed is."""

    def queue(self, frames: int, /) -> None:
        """Take the number of frames that are sent, or wait to be."""
        ...


def run(config: FeedConfig, *, progress: FeedProgress | None = None, stop: threading.Event | None = None) -> RunSummary:
    """Find people in a video by a server and write what `config` asks for.

    A frame that the server does not answer is in the output as it was, which is complete, and counted: that is a
    failure of the run. Failures and interruptions are told as `humandetect.run` tells them.
    """
    draw = Annotator().draw if config.anonymize else _draw  # the server's picture shows them
    summary = run_with(lambda: _server_finder(config, progress), config, draw=draw, progress=progress, stop=stop)
    failed, all_frames = summary.failed_frames, summary.frames
    if not failed:
        return summary
    what = "any frame" if failed == all_frames else f"{failed:,} of {all_frames:,} frames"
    return replace(summary, failures=(*summary.failures, ServiceError(f"{summary.engine} did not answer for {what}")))


@contextmanager
def _server_finder(config: FeedConfig, progress: FeedProgress | None) -> Iterator[ServerFinder]:
    """Open all that it takes to ask; closing drops what is under way, so that Ctrl-C need not wait for a server."""
    with ExitStack() as stack:
        url = stack.enter_context(_own_server(config)) if config.spawn else config.url
        client = DetectClient(
            url,
            api_key=config.api_key,
            timeout_seconds=config.timeout_seconds,
            patience_seconds=config.patience_seconds,
        )
        _make_contact(client)
        follows = config.endpoint != "request" and (config.tracks or config.anonymize)
        model = client.model() if follows else None
        sender = Sender(_endpoint_method(client, config, model), jpeg_quality=config.jpeg_quality)
        requests = Batcher(
            sender.send,
            max_batch=config.batch if config.concurrent else 1,
            queue_size=config.batch if config.concurrent else 1,
            workers=config.workers if config.concurrent else 1,
            max_wait_seconds=BATCH_WAIT_SECONDS,
            eager=False,
        )
        stack.enter_context(requests)
        stack.enter_context(client)  # closed first: requests under way end, and with them the batcher's threads
        yield ServerFinder(requests, name=client.where, model=model, progress=progress)


def _make_contact(client: DetectClient) -> None:
    try:
        client.reach()
    except ServiceAway as error:
        raise ServiceAway(f"{error}, or let --spawn start one for this run") from error


@contextmanager
def _own_server(config: FeedConfig) -> Iterator[str]:
    """Start a server as variables (HUMANDETECT_ENGINE ...) and humandetect.toml say, for this machine alone."""
    serve = config_from_environment(ServeConfig)
    serve = replace(
        serve,
        api_key=config.api_key,
        tls_cert=None,
        tls_key=None,
        max_images=max(serve.max_images, config.batch),
        queue=max(serve.queue, config.batch * config.workers),
    )
    with spawned(serve) as server:
        yield server.url


def _endpoint_method(client: DetectClient, config: FeedConfig, model: ModelUsed | None) -> Ask:
    """Return the endpoint's method: for results only, and for tracks, one that need not draw."""
    wants_pictures = (config.writes_pictures or config.show) and not (config.tracks or config.anonymize)
    if config.endpoint == "request" or (config.endpoint == "auto" and wants_pictures):
        return client.request
    usual_score = model.score if model is not None and model.score > WEAKEST_SCORE else None
    return PeopleOnly(client, usual_score=usual_score, may_draw=config.endpoint == "auto").ask


class PeopleOnly:
    """Asks for people without pictures where the server knows how, else, if it `may_draw`, with them. Thread-safe.

    With the server's usual score, from which on a box is a person, weak boxes are asked for too: trackers want them.
    """

    def __init__(self, client: DetectClient, *, usual_score: float | None = None, may_draw: bool = True) -> None:
        self._client = client
        self._usual_score = usual_score
        self._may_draw = may_draw
        self._has_v1 = True

    def ask(self, images: Sequence[bytes]) -> list[ImageOutcome]:
        if self._has_v1:
            try:
                return self._ask_v1(images)
            except ServiceError as error:
                if error.status not in NO_SUCH_ROUTE or not self._may_draw:
                    raise
                self._has_v1 = False  # an older server; if it is none at all, POST /request says so
        return self._client.request(images)

    def _ask_v1(self, images: Sequence[bytes]) -> list[ImageOutcome]:
        client, score = self._client, None if self._usual_score is None else WEAKEST_SCORE
        found = (
            [client.detect(images[0], score=score)] if len(images) == 1
            else client.detect_several(images, score=score)
        )  # fmt: skip
        return [self._outcome(one) for one in found]

    def _outcome(self, found: Found) -> ImageOutcome:
        least = self._usual_score or 0
        people = [person for person in found.people if person.score >= least]
        weak = [person for person in found.people if person.score < least]
        return ImageOutcome(people, weak=weak, reason=found.error)


class Sender:
    """Sends frames as JPEGs, and smaller batches where the server does not take large ones. Thread-safe."""

    def __init__(self, ask: Ask, *, jpeg_quality: int) -> None:
        self._ask = ask
        self._quality = jpeg_quality
        self._most: int | None = None
        """Images that the server takes at once, as far as it has said so."""

    def send(self, images: Sequence[NDArray[np.uint8]]) -> list[ImageOutcome]:
        """Return an outcome for each image. Raises ServiceError when the server cannot be used any more."""
        return self._outcomes([self._encoded(image) for image in images])

    def _outcomes(self, images: Sequence[bytes]) -> list[ImageOutcome]:
        """Ask for all; where that fails ask for each half, so that one bad image costs only itself."""
        half = len(images) // 2
        if self._most is None or len(images) <= self._most:
            try:
                return self._ask(images)
            except RequestFailed as error:
                if not half:
                    return [ImageOutcome([], reason=str(error))]
                if error.status == 406:
                    self._most = half
        return self._outcomes(images[:half]) + self._outcomes(images[half:])

    def _encoded(self, image: NDArray[np.uint8]) -> bytes:
        data = encode_jpeg(image, quality=self._quality)
        for quality in LOWER_QUALITIES:
            if len(data) < LARGEST_IMAGE_BYTES:
                break
            data = encode_jpeg(image, quality=quality)
        return data


@dataclass(frozen=True, slots=True, repr=False)
class AnsweredFrame(DetectedFrame):
    """A frame, the people in it, and the server's picture of them."""

    annotated: bytes = b""


class ServerFinder:
    """Finds people by requests that are under way."""

    score = None

    def __init__(
        self, requests: Requests, *, name: str, model: ModelUsed | None = None, progress: FeedProgress | None = None
    ) -> None:
        self.name = name
        self.track_scores = (model and model.track_scores) or USUAL_TRACK_SCORES
        self.settings = {"server": name}
        self.capacity = requests.capacity
        self._requests = requests
        self._progress = progress
        self._under_way = 0
        self._failures_in_a_row = 0

    def submit(self, frame: Frame) -> Future[ImageOutcome]:
        future = self._requests.submit(frame.image, timeout_seconds=None)
        self._count(+1)
        return future

    def result(self, frame: Frame, answer: ImageOutcome, *, detected: bool) -> AnsweredFrame:
        """Raises ServiceError when the server has failed at too many frames in a row."""
        if detected:
            self._count(-1)
            self._failures_in_a_row = 0 if answer.reason is None else self._failures_in_a_row + 1
        if self._failures_in_a_row >= FAILURES_IN_A_ROW:
            raise ServiceError(f"{self.name} fails at every frame, {FAILURES_IN_A_ROW} in a row: {answer.reason}")
        detections, weak = (_detections(boxes, frame.image.shape[:2]) for boxes in (answer.people, answer.weak))
        if answer.reason is not None:
            return AnsweredFrame(frame, detections, detected=False, failure=answer.reason)
        # A server's picture shows its own frame; on frames that keep its boxes they are drawn here.
        annotated = answer.annotated if detected else b""
        return AnsweredFrame(frame, detections, detected=detected, weak=weak, annotated=annotated)

    def _count(self, by: int) -> None:
        self._under_way += by
        if self._progress is not None:
            self._progress.queue(self._under_way)


def _draw(result: DetectedFrame) -> None:
    """Take the server's picture; draw here where there is none, none of this size, or ids that it does not know."""
    image = result.frame.image
    of_server = result.annotated if isinstance(result, AnsweredFrame) and result.detections.tracker_id is None else b""
    picture = _decoded(of_server) if of_server else None
    if picture is None or picture.shape != image.shape:
        Annotator().draw(result)
    else:
        np.copyto(image, picture)


def _decoded(picture: bytes) -> NDArray[np.uint8] | None:
    try:
        return decode_image(picture, max_megapixels=200, formats=("JPEG",))
    except SourceError:
        return None


def _detections(people: Sequence[Person], image_hw: tuple[int, ...]) -> sv.Detections:
    import supervision as sv

    if not people:
        return sv.Detections.empty()
    height, width = image_hw
    xyxy = np.array([person.box for person in people], np.float32)
    return sv.Detections(
        xyxy=xyxy.clip(0, np.array([width, height, width, height], np.float32)),
        confidence=np.array([person.score for person in people], np.float32),
        class_id=np.ones(len(people), dtype=int),
        data={"class_name": np.full(len(people), "person")},
    )
