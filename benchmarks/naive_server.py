"""An endpoint as it is written first: one request at a time, files on disk, the model image by image.

python benchmarks/naive_server.py PORT      (benchmarks/serve.py starts it)
"""

from __future__ import annotations

import base64
import sys
import tempfile
import threading
from pathlib import Path

import cv2
import uvicorn
from common import PlainModel
from fastapi import FastAPI
from pydantic import BaseModel

SIZE_WH = (1024, 800)
"""Everything is made this large, whatever came in."""
SCORE = 0.5


class Entry(BaseModel):
    image: str
    id: str


class Batch(BaseModel):
    input: list[Entry]


def main() -> None:
    model = PlainModel()
    app = FastAPI()
    one_at_a_time = threading.Lock()

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/request")
    def request(batch: Batch) -> dict[str, object]:
        with one_at_a_time, tempfile.TemporaryDirectory() as folder:
            output = [
                {"annotated_image": _annotated(model, entry.image, Path(folder)), "id": entry.id}
                for entry in batch.input
            ]
            return {"output": output, "errors": {}}

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


def _annotated(model: PlainModel, text: str, folder: Path) -> str:
    """Find the people in one image; the picture of them in base64."""
    file = folder / "image.jpg"
    file.write_bytes(base64.b64decode(text))
    image = cv2.imread(str(file))
    assert image is not None
    image = cv2.resize(image, SIZE_WH)
    for box, score in model(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), score=SCORE):
        x1, y1, x2, y2 = (box * [*SIZE_WH, *SIZE_WH]).astype(int).tolist()
        cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 2)
        cv2.putText(image, f"{score:.2f}", (x1, y1 - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0))
    cv2.imwrite(str(file), image)
    return base64.b64encode(file.read_bytes()).decode()


if __name__ == "__main__":
    main()
