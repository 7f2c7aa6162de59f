"""Find people in pictures, many a request, and save each picture with the people drawn.

    python examples/client.py IMAGE...

Asks http://127.0.0.1:8000, or the server in HUMANDETECT_URL, with the key in HUMANDETECT_API_KEY if there is one.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

URL = os.environ.get("HUMANDETECT_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("HUMANDETECT_API_KEY")
MOST_IMAGES = 16


def ask(client: httpx.Client, images: list[Path]) -> Any:
    batch = [{"image": base64.b64encode(image.read_bytes()).decode(), "id": str(image)} for image in images]
    for _ in range(10):
        response = client.post("/request", json={"input": batch})
        if response.status_code != 503:
            break
        time.sleep(float(response.headers["Retry-After"]))  # busy, or the model is still being loaded
    answer = response.json()
    if "errors" not in answer:  # it is there even if no image could be used
        sys.exit(f"{response.status_code}: {answer['message']}")
    return answer


with httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {KEY}"} if KEY else {}, timeout=60) as client:
    images = [Path(name) for name in sys.argv[1:]]
    for first in range(0, len(images), MOST_IMAGES):
        answer = ask(client, images[first : first + MOST_IMAGES])
        for image in answer.get("output", []):
            annotated = Path(f"{Path(image['id']).stem}_people.jpg")
            annotated.write_bytes(base64.b64decode(image["annotated_image"]))
            print(f"{image['id']}: {len(image['people'])} people, see {annotated}")
            for person in image["people"]:
                print(f"    {person['score']:.0%} at {person['box']}")
        for bad in answer["errors"].get("reasons", []):
            print(f"{bad['id']}: {bad['reason']}", file=sys.stderr)
