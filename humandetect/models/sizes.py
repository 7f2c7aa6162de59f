"""How large a model gets its pictures: presets that follow a picture's aspect, or one size for all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from humandetect.config.engine import size_in_pixels
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from humandetect.models.metadata import ModelMetadata

MAX_ASPECT = 7 / 3
"""Of cinema's 21:9, where a limit of 2 costs 3 to 5 points of AP50. Longer pictures are padded."""
Sides = tuple[int | None, int | None]
"""Height and width that a graph takes; None for any."""
SPARE = 0.15
"""Of a step: stretching by so little is better than a step more of cost. Rounding down costs more people than up."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A size by name, and the scores that were measured to be the best at it."""

    input_hw: tuple[int, int] | None = None
    """Of pictures of 4:3 where it follows the aspect, else of all; None: the model's signature decides."""
    step: int | None = None
    """The long side follows the picture's aspect in such steps, at the same short side; None: one size for all."""
    default_score: float = 0.5
    track_start_score: float = 0.5
    """From here on a box starts a track."""
    track_high_score: float = 0.3
    """From here on a box is matched with tracks before weaker ones are."""
    second_look: bool = False
    """People near the camera are larger than the model was trained for: look again at the picture at half the size."""

    def __str__(self) -> str:
        return _text(self.input_hw) if self.input_hw else "-"  # perhaps any: only the graph knows


@dataclass(frozen=True, slots=True)
class InputSize:
    """How large a model gets its pictures; sizes are (height, width) in pixels."""

    input_hw: tuple[int, int]
    step: int | None = None
    """As in Preset."""
    multiple: int | None = None
    """The graph takes any height and width that are multiples of it; None: `input_hw` only."""
    keep_aspect: bool = False
    """Pictures of another aspect are padded, not stretched."""

    def __str__(self) -> str:
        return "x".join(map(str, self.input_hw))

    def for_picture(self, picture_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the size that fits a picture best."""
        if self.step is None:
            return self.input_hw
        height, width = picture_hw
        short = min(self.input_hw)
        aspect = min(max(height, width) / min(height, width), MAX_ASPECT)
        long = ceil(short * aspect / self.step - SPARE) * self.step
        return (long, short) if height > width else (short, long)

    def takes(self, hw: tuple[int, int]) -> bool:
        """Tell whether the graph takes pictures of this size."""
        return hw == self.input_hw if self.multiple is None else not any(side % self.multiple for side in hw)

    def half(self, hw: tuple[int, int]) -> tuple[int, int]:
        """Return about half of a size, such as the graph takes."""
        step = 2 * (self.multiple or 1)
        return ceil(hw[0] / step) * step // 2, ceil(hw[1] / step) * step // 2


def choose_size(
    model: str, metadata: ModelMetadata, wanted: str, *, fixed_hw: Sides
) -> tuple[InputSize | None, Preset]:
    """Return the size that is `wanted` (a preset's name or HxW) and its scores; None: the model wants full frames.

    `fixed_hw` are the sides that the model's signature allows. Raises UsageError for a size that it does not take.
    """
    match fixed_hw:
        case (int(height), int(width)):
            if wanted != "default" and size_in_pixels(wanted) != fixed_hw:
                only = f"{_text(fixed_hw)} only (height x width)"
                raise UsageError(f"{model} takes pictures of {only}: leave out the size")
            return InputSize((height, width), keep_aspect=metadata.keep_aspect), metadata.preset
    size, preset = _choose_open_size(model, metadata, wanted)
    given = size.input_hw if size else (None, None)
    if any(side not in (None, got) for side, got in zip(fixed_hw, given, strict=True)):
        only = "x".join(str(side or "ANY") for side in fixed_hw)
        raise UsageError(
            f"{model} takes pictures of {only} only (height x width): say such a size with --size, or as input_hw in "
            "humandetect.json"
        )
    if size and fixed_hw != (None, None):  # no steps: of upright pictures they would change the side that is fixed
        size = replace(size, step=None)
    return size, preset


def _choose_open_size(model: str, metadata: ModelMetadata, wanted: str) -> tuple[InputSize | None, Preset]:
    usual, pixels = metadata.preset, size_in_pixels(wanted)
    if pixels is not None:
        _check_multiple(model, pixels, metadata.multiple)
        scores = min([usual, *metadata.sizes.values()], key=lambda preset: _difference(preset, pixels))
        return InputSize(pixels, None, metadata.multiple, metadata.keep_aspect), scores
    preset = usual if wanted == "default" else metadata.sizes.get(wanted)
    if preset is None:
        known = ", ".join(["default", *metadata.sizes])
        raise UsageError(f"{model} has no size {wanted!r}; it has {known}, and HxW in pixels, as in 384x640")
    if preset.input_hw is None:
        return None, preset
    follows = preset.step is not None
    return InputSize(preset.input_hw, preset.step, metadata.multiple, follows or metadata.keep_aspect), preset


def _check_multiple(model: str, hw: tuple[int, int], multiple: int) -> None:
    nearest = tuple(max(1, round(side / multiple)) * multiple for side in hw)
    if nearest != hw:
        raise UsageError(
            f"{model} takes pictures whose height and width are multiples of {multiple}, got {_text(hw)}; "
            f"the nearest is {_text(nearest)}"
        )


def _difference(preset: Preset, hw: tuple[int, int]) -> float:
    """Compare by the short side, on which the size of people depends."""
    return abs(min(preset.input_hw) - min(hw)) if preset.input_hw else float("inf")


def _text(hw: tuple[int, ...]) -> str:
    return "x".join(map(str, hw))
