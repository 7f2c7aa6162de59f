"""Count the people in many pictures, several requests at once.

    python examples/client_async.py IMAGE...

Asks http://127.0.0.1:8000, or the server in HUMANDETECT_URL, with the key in HUMANDETECT_API_KEY if there is one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx

URL = os.environ.get("HUMANDETECT_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("HUMANDETECT_API_KEY")
AT_ONCE = 8
"""The server puts what comes at once into one batch; many more only wait there instead of here."""


async def count(client: httpx.AsyncClient, image: Path, turns: asyncio.Semaphore) -> str:
    async with turns:
        for _ in range(10):
            response = await client.post("/v1/detect", content=image.read_bytes())
            if response.status_code != 503:
                break
            await asyncio.sleep(float(response.headers["Retry-After"]))
    answer = response.json()
    return f"{len(answer['results'][0]['people'])} people" if response.is_success else answer["message"]


async def main(images: list[Path]) -> None:
    headers = {"Content-Type": "application/octet-stream"} | ({"Authorization": f"Bearer {KEY}"} if KEY else {})
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=URL, headers=headers, timeout=60) as client:
        answers = await asyncio.gather(*(count(client, image, turns) for image in images))
    for image, answer in zip(images, answers, strict=True):
        print(f"{image}: {answer}")


asyncio.run(main([Path(name) for name in sys.argv[1:]]))
