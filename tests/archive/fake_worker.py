"""A process of `archive` with a fake engine."""

from humandetect.archive import worker
from tests.fakes import FakeEngine

if __name__ == "__main__":
    worker.load_engine = lambda _: FakeEngine()  # type: ignore[assignment,attr-defined]
    worker.main()
