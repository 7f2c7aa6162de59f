"""The models that are served: loading, switching and unloading versions while requests go on.

A request takes a version and gives it back. A version that is no longer wanted takes no more requests and is unloaded
when the last one has given it back; by then the version that replaces it answers already. So no request fails.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import grpc

from humandetect.model_server.served_models import check_labels
from humandetect.model_server.status import ServingError, invalid, not_found
from humandetect.model_server.versions import Fingerprint, find_versions, fingerprint, wanted_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from humandetect.model_server.servable import Servable
    from humandetect.model_server.served_models import ModelSettings

logger = logging.getLogger(__name__)


class State(IntEnum):
    """The protocol's own numbers."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(slots=True)
class Version:
    """One version and what has become of it."""

    number: int
    path: Path
    state: State = State.START
    failure: ServingError | None = None
    servable: Servable | None = None
    users: int = 0
    files: Fingerprint | None = None
    """What lay there when the load failed."""

    def is_broken(self) -> bool:
        return self.failure is not None and self.files == fingerprint(self.path)


@dataclass(slots=True)
class Model:
    """A model, its settings and every version ever seen."""

    name: str
    settings: ModelSettings | None = None
    """None: not served, not yet or no longer."""
    versions: dict[int, Version] = field(default_factory=dict)
    complained: bool = False

    def available(self) -> list[int]:
        return [number for number, version in self.versions.items() if version.state is State.AVAILABLE]

    def serves(self, number: int, path: Path) -> bool:
        version = self.versions.get(number)
        return version is not None and version.state is State.AVAILABLE and version.path == path


class Registry:
    """Knows every model; thread-safe. `load` turns a version's folder into what answers, or raises ServingError."""

    def __init__(self, load: Callable[[str, Path], Servable]) -> None:
        self._load = load
        self._models: dict[str, Model] = {}
        self._changing = threading.RLock()  # held while versions load; requests do not wait for it
        self._lock = threading.Lock()

    def apply(self, settings: Sequence[ModelSettings]) -> None:
        """Serve these models and no others. Raises ServingError if one cannot be, and then nothing changes."""
        with self._changing:
            try:
                for wanted in settings:
                    self._prepare(wanted)
            except ServingError:
                for model in list(self._models.values()):
                    self._settle(model)
                raise
            for wanted in settings:
                self._models[wanted.name].settings = wanted
            served = {wanted.name for wanted in settings}
            for model in list(self._models.values()):
                if model.name not in served:
                    model.settings = None
                self._settle(model)

    def poll(self) -> None:
        """Look at the folders: load what is new, unload what is gone."""
        with self._changing:
            for model in list(self._models.values()):
                self._settle(model)

    @contextmanager
    def lease(self, spec: Any) -> Iterator[tuple[Servable, int]]:
        """Lend the version that a ModelSpec asks for, and its number; raises ServingError."""
        version, servable = self._take(spec)
        try:
            yield servable, version.number
        finally:
            with self._lock:
                version.users -= 1
            self._end_if_unused(version)

    def status(self, spec: Any) -> list[Version]:
        """Return every version ever seen, or the one asked for; raises ServingError."""
        with self._lock:
            model = self._models.get(spec.name)
            versions = sorted(model.versions.values(), key=lambda version: -version.number) if model else []
        if not versions:
            raise not_found(f"Could not find any versions of model {spec.name}")
        if spec.WhichOneof("version_choice") != "version":
            return versions
        number = spec.version.value
        chosen = [version for version in versions if version.number == number]
        if not chosen:
            raise not_found(f"Could not find version {number} of model {spec.name}")
        return chosen

    def available(self) -> dict[str, list[int]]:
        """Return the versions that answer, by model."""
        with self._lock:
            return {model.name: sorted(model.available()) for model in self._models.values() if model.settings}

    def knows(self, name: str) -> bool:
        """Say whether a model of that name was ever served."""
        with self._lock:
            return name in self._models

    def is_busy(self) -> bool:
        """Say whether a request uses any version."""
        with self._lock:
            return any(version.users for model in self._models.values() for version in model.versions.values())

    def close(self) -> None:
        """Unload everything that no request uses."""
        self.apply([])

    def _take(self, spec: Any) -> tuple[Version, Servable]:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        with self._lock:
            model = self._models.get(spec.name)
            number = _number(model, spec)
            version = model.versions.get(number) if model and number is not None else None
            if version is None or version.state is not State.AVAILABLE or version.servable is None:
                wanted = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
                raise not_found(f"Servable not found for request: {wanted}")
            version.users += 1
            return version, version.servable

    def _prepare(self, settings: ModelSettings) -> None:
        """Load what new settings want beside what is served now; raises ServingError if nothing can be."""
        model = self._models.get(settings.name) or Model(settings.name)
        with self._lock:
            self._models[settings.name] = model
        found = find_versions(settings.base_path)
        if found is None:
            raise not_found(f"model {settings.name}: its base_path {settings.base_path} does not exist")
        wanted = self._load_wanted(model, settings, found)
        if not wanted:
            raise _nothing_to_serve(model, settings, found)
        check_labels(settings, wanted)

    def _settle(self, model: Model) -> None:
        """Make a model what its settings want."""
        settings = model.settings
        if settings is None:
            self._retire(model, set(model.versions))
            return
        found = find_versions(settings.base_path)
        if found is None:
            if not model.complained:
                logger.error("model %s: %s is gone; its versions stay as they are", model.name, settings.base_path)
            model.complained = True
            return
        model.complained = False
        wanted = self._load_wanted(model, settings, found)
        if wanted or not found:  # where all that is left is broken, what still answers goes on
            self._retire(model, set(model.versions) - wanted)

    def _load_wanted(self, model: Model, settings: ModelSettings, found: dict[int, Path]) -> set[int]:
        """Load until the policy is content; a version that fails leaves its place to the next."""
        broken = {number for number in found if number in model.versions and model.versions[number].is_broken()}
        while True:
            wanted = wanted_versions(settings, found.keys() - broken)
            missing = [number for number in wanted if not model.serves(number, found[number])]
            if not missing:
                return wanted
            number = max(missing)
            if not self._bring_up(model, number, found[number]):
                broken.add(number)

    def _bring_up(self, model: Model, number: int, path: Path) -> bool:
        version, before = Version(number, path, State.LOADING), model.versions.get(number)
        replaces = before is not None and before.state is State.AVAILABLE  # the same number in another base_path
        if not replaces:
            with self._lock:
                model.versions[number] = version
        files = fingerprint(path)
        logger.info("loading version %d of model %s", number, model.name)
        try:
            servable = self._load(model.name, path)
        except Exception as error:  # whatever a model does to its loader, the others must not suffer
            logger.error("version %d of model %s cannot be served: %s", number, model.name, error)  # noqa: TRY400
            logger.debug("because of", exc_info=error)
            failure = error if isinstance(error, ServingError) else ServingError(grpc.StatusCode.UNKNOWN, repr(error))
            version.failure, version.files, version.state = failure, files, State.END
            return False
        with self._lock:
            version.servable, version.state = servable, State.AVAILABLE
            model.versions[number] = version
        logger.info("version %d of model %s is available", number, model.name)
        if before is not None and replaces:
            self._unload(before)
        return True

    def _retire(self, model: Model, numbers: set[int]) -> None:
        for number in sorted(numbers):
            if model.versions[number].state is State.AVAILABLE:
                logger.info("unloading version %d of model %s", number, model.name)
                self._unload(model.versions[number])

    def _unload(self, version: Version) -> None:
        with self._lock:
            version.state = State.UNLOADING
        self._end_if_unused(version)

    def _end_if_unused(self, version: Version) -> None:
        with self._lock:
            if version.users or version.state is not State.UNLOADING:
                return
            servable, version.servable = version.servable, None
        if servable is not None:
            servable.runner.close()
            version.state = State.END


def _number(model: Model | None, spec: Any) -> int | None:
    """Return the version that is asked for; None if the newest is, and there is none."""
    match spec.WhichOneof("version_choice"):
        case "version":
            return int(spec.version.value)
        case "version_label":
            labels = model.settings.labels if model and model.settings else {}
            if model is not None and spec.version_label not in labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            return labels.get(spec.version_label)
        case _:
            return max(model.available(), default=None) if model else None


def _nothing_to_serve(model: Model, settings: ModelSettings, found: dict[int, Path]) -> ServingError:
    failures = {n: version.failure for n, version in model.versions.items() if version.failure and n in found}
    if failures:
        reasons = "; ".join(f"version {number}: {failure}" for number, failure in sorted(failures.items()))
        return ServingError(
            next(iter(failures.values())).code, f"model {model.name}: no version can be served ({reasons})"
        )
    there = ", ".join(map(str, sorted(found))) or "none"
    wanted = " or ".join(map(str, sorted(settings.specific))) or "a folder with a number for a name"
    return ServingError(
        grpc.StatusCode.NOT_FOUND,
        f"model {model.name}: {settings.base_path} has no version to serve: expected {wanted}, found {there}",
    )
