"""The way of one image through the service: bytes -> pixels -> engine -> people, and a picture of them if wanted."""

from __future__ import annotations

import asyncio
import io
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from humandetect.analytics.anonymize import may_be_people
from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.base64_pictures import check_bytes, decode_base64
from humandetect.cpus import usable_cpus
from humandetect.detection.finders import open_batcher
from humandetect.errors import Closed, EngineTimeout, Overloaded, SourceError
from humandetect.media.annotate.boxes import Annotator
from humandetect.media.annotate.hiding import hide
from humandetect.media.frames import DetectedFrame, Frame, people_in
from humandetect.media.images import decode_image, encode_jpeg, read_size
from humandetect.service.metrics import Timings
from humandetect.wire import ModelUsed, Person

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from numpy.typing import NDArray

    from humandetect.config import Anonymize, ServeConfig
    from humandetect.detection.detector import Detector
    from humandetect.detection.preprocess import PreparedImage
    from humandetect.engines.base import RawDetections
    from humandetect.service.metrics import Metrics

Result = TypeVar("Result")

FORMATS = ("JPEG", "PNG")
MAX_SIDE = 65_500
"""No JPEG is longer, so none with the people drawn could be answered."""
USUAL_BYTES, USUAL_TOGETHER = 24_000_000, 96_000_000
"""Decoded pictures of up to 8 megapixels, and what those in work may hold together: dozens, as engines like company."""
LARGE_TOGETHER = 150_000_000
"""What larger ones may hold; apart, so that a request full of them is in nobody's way."""


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What was found in one image."""

    people: list[Person]
    width: int
    height: int
    annotated: bytes | None
    """JPEG with the people drawn, where asked for."""
    timings: Timings


@dataclass(frozen=True, slots=True)
class _Inferred:
    """An engine's answer to one image, with the seconds that its batch took."""

    raw: RawDetections
    seconds: float


class Inference:
    """Finds people in encoded images for many callers at once. Owns and closes the detector."""

    def __init__(self, detector: Detector, config: ServeConfig, metrics: Metrics) -> None:
        self.info = detector.info
        self.score = detector.score
        self._detector = detector
        self._config = config
        self._metrics = metrics
        self._annotator = Annotator()
        self._under_way = 0
        self._usual, self._large = _Allowance(USUAL_TOGETHER), _Allowance(LARGE_TOGETHER)
        self._threads = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="picture")
        self._batcher = open_batcher(
            self.info,
            self._infer_batch,
            batch=config.batch,
            queue_size=config.queue,
            max_wait_seconds=config.max_wait_ms / 1000,
            hung_after_seconds=config.timeout_seconds,
        )
        metrics.model(name=self.info.name, version=self.info.version, engine=self.info.engine)

    def model_used(self, score: float | None = None) -> ModelUsed:
        """Tell which model answers, and from which score on: the one asked for, or the usual one."""
        info = self.info
        return ModelUsed(
            name=info.name, version=info.version, engine=info.engine,
            score=self.score if score is None else score, track_scores=self._detector.track_scores,
        )  # fmt: skip

    @property
    def is_stuck(self) -> bool:
        """Whether the engine hangs, all of it: nothing asked of it now would be answered."""
        return self._batcher.is_stuck()

    @contextmanager
    def admitted(self, count: int) -> Iterator[None]:
        """Let `count` images in for the length of the block. Raises Overloaded where too many are inside."""
        if self._under_way + count > self._config.queue:
            raise Overloaded(f"{self._under_way} images are under way already; try again later")
        self._count(count)
        try:
            yield
        finally:
            self._count(-count)

    def _count(self, by: int) -> None:
        self._under_way += by
        self._metrics.queue_changed(by)

    async def detect(
        self, image: bytes | str, *, annotate: bool, score: float | None = None, anonymize: Anonymize | None = None
    ) -> ImageAnswer:
        """Find the people in a JPEG or PNG; a str is one in base64. `anonymize` hides them where the server does not.

        Raises SourceError for a bad image, Overloaded, Closed, EngineTimeout, and EngineError for a failing engine.
        """
        seconds = self._config.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                answer = await self._detect(image, annotate=annotate, score=score, anonymize=anonymize)
        except TimeoutError as error:
            raise EngineTimeout(f"no answer within {seconds:g} s") from error
        except SourceError:
            self._metrics.bad_image()
            raise
        self._metrics.image(people=len(answer.people), timings=answer.timings)
        return answer

    async def _detect(
        self, image: bytes | str, *, annotate: bool, score: float | None, anonymize: Anonymize | None
    ) -> ImageAnswer:
        began = time.perf_counter()
        data, size, unpack_seconds = await self.in_thread(lambda: self._unpack(image))
        lane = self._usual if size <= USUAL_BYTES else self._large
        async with lane.of(size):
            picture, prepared, decode_seconds = await self.in_thread(lambda: self._decode(data))
            height, width = picture.shape[:2]
            canvas = picture if annotate else None
            del picture
            inferred = await asyncio.wrap_future(self._batcher.submit(prepared))
            people, annotated, encode_seconds = await self.in_thread(
                lambda: self._answer(inferred.raw, (height, width), canvas, score=score, anonymize=anonymize)
            )
        worked = unpack_seconds + decode_seconds + inferred.seconds + encode_seconds
        timings = Timings(
            decode=unpack_seconds + decode_seconds, queue=time.perf_counter() - began - worked, infer=inferred.seconds,
            encode=encode_seconds,
        )  # fmt: skip
        return ImageAnswer(people, width, height, annotated, timings)

    async def in_thread(self, function: Callable[[], Result]) -> Result:
        """Run `function` on one of the threads that handle pictures. Raises Closed after `close()`."""
        try:
            job = self._threads.submit(function)
        except RuntimeError as error:
            raise Closed("the service is shutting down") from error
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not job.cancel():  # it is running: what it holds is free when it ends, not before
                await asyncio.wait({done})
                done.exception()
            raise

    def close(self) -> None:
        """Fail what waits, end the threads, close the detector; may be called twice."""
        self._batcher.close()
        self._threads.shutdown(cancel_futures=True)
        self._detector.close()

    def _unpack(self, image: bytes | str) -> tuple[bytes, int, float]:
        """Return the encoded picture, how many bytes its header says it has decoded, and the seconds this took."""
        began = time.perf_counter()
        max_bytes = int(self._config.max_image_mb * 1e6)
        data = decode_base64(image, max_bytes=max_bytes) if isinstance(image, str) else image
        check_bytes(len(data), max_bytes=max_bytes)
        width, height = read_size(io.BytesIO(data), max_megapixels=self._config.max_megapixels, formats=FORMATS)
        if max(width, height) > MAX_SIDE:
            raise SourceError(f"image of {width} x {height} pixels is too long (limit {MAX_SIDE} a side)")
        return data, width * height * 3, time.perf_counter() - began

    def _decode(self, data: bytes) -> tuple[NDArray[np.uint8], PreparedImage, float]:
        began = time.perf_counter()
        picture = decode_image(data, max_megapixels=self._config.max_megapixels, formats=FORMATS)
        return picture, self._detector.prepare(picture), time.perf_counter() - began

    def _infer_batch(self, batch: list[PreparedImage]) -> list[_Inferred]:
        began = time.perf_counter()
        answers = self._detector.infer(batch)
        seconds = time.perf_counter() - began
        self._metrics.batch(len(batch))
        return [_Inferred(raw, seconds) for raw in answers]

    def _answer(
        self,
        raw: RawDetections,
        image_hw: tuple[int, int],
        canvas: NDArray[np.uint8] | None,
        *,
        score: float | None,
        anonymize: Anonymize | None,
    ) -> tuple[list[Person], bytes | None, float]:
        began = time.perf_counter()
        detections = self._detector.people(raw, image_hw, score=score)
        people = [Person(box=person.box, score=person.score) for person in people_in(detections)]
        annotated = None
        if canvas is not None:
            if style := self._config.anonymize or anonymize:
                hide(canvas, self._hidden(raw, image_hw), style)
            self._annotator.draw(DetectedFrame(Frame(canvas, index=0, time_seconds=0.0, source=""), detections))
            annotated = encode_jpeg(canvas)
        return people, annotated, time.perf_counter() - began

    def _hidden(self, raw: RawDetections, image_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Return what is hidden of a picture, whatever score the caller asked for."""
        boxes = self._detector.people(raw, image_hw, score=min(WEAKEST_SCORE, self.score))
        strong = np.asarray(boxes.confidence) >= self.score
        return may_be_people(boxes.xyxy[strong], boxes.xyxy[~strong], np.asarray(boxes.confidence)[~strong])


class _Allowance:
    """An amount that tasks share; who asks first gets first, and who asks for more than all of it gets all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, amount: int) -> AsyncIterator[None]:
        amount = min(amount, self._limit)
        await self._take(amount)
        try:
            yield
        finally:
            self._give_back(amount)

    async def _take(self, amount: int) -> None:
        if amount <= self._free and not self._waiting:
            self._free -= amount
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            had_its_turn = turn.done() and not turn.cancelled()
            self._give_back(amount if had_its_turn else 0)
            raise

    def _give_back(self, amount: int) -> None:
        self._free += amount
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.cancelled():
                if wanted > self._free:
                    return
                self._free -= wanted
                turn.set_result(None)
            self._waiting.popleft()
