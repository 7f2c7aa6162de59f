"""Encoded pictures for requests."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import cv2

from humandetect.media.images import decode_image
from tests.builders import picture

if TYPE_CHECKING:
    import numpy as np


def jpeg(width: int = 64, height: int = 48, *, shade: int = 0) -> bytes:
    return encoded(picture(width, height, shade=shade), ".jpg")


def png(width: int = 64, height: int = 48, *, shade: int = 0) -> bytes:
    return encoded(picture(width, height, shade=shade), ".png")


def encoded(image: np.ndarray, ending: str) -> bytes:
    done, data = cv2.imencode(ending, image)
    assert done
    return data.tobytes()


def entry(image: bytes, name: str = "a") -> dict[str, str]:
    return {"image": base64.b64encode(image).decode(), "id": name}


def batch(*images: bytes) -> dict[str, Any]:
    """The body of `POST /request`, with the ids "0", "1" and so on."""
    return {"input": [entry(image, str(index)) for index, image in enumerate(images)]}


def pixels(annotated: str) -> np.ndarray:
    """The picture that came back."""
    return decode_image(base64.b64decode(annotated), max_megapixels=50)
