"""Reports for tests, made of plain numbers."""

from __future__ import annotations

from typing import Any

from humandetect.bench.figures import BenchReport, BenchSetting, Figures, TargetFigures

SETTING = BenchSetting(pictures="0123", model="human_detection", model_version="1", score=0.25)


def figures(**changes: Any) -> Figures:
    values: dict[str, Any] = {
        "target": "openvino",
        "mode": "batch",
        "batch": 16,
        "concurrency": 20,
        "rate": None,
        "images_per_second": 60.0,
        "requests_per_second": 3.75,
        "p50_ms": 100.0,
        "p90_ms": 110.0,
        "p95_ms": 130.0,
        "p99_ms": 150.0,
        "requests": 60,
        "good_images": 960,
        "errors": {},
        "windows_images_per_second": [59.0, 60.0, 61.0],
        "spread": 0.05,
        "cpu_ms_per_image": 19.0,
        "peak_memory_mb": 600.0,
        "stages_ms_per_image": {"decode": 1.0, "queue": 2.0, "infer": 3.0, "encode": 4.0},
        "client_cpu_share": 0.03,
    }
    return Figures(**(values | changes))


def report(*some: Figures, **changes: Any) -> BenchReport:
    some = some or (figures(), figures(mode="stream", batch=1), figures(target="tensorflow", images_per_second=30.0))
    names = dict.fromkeys(one.target for one in some)
    values: dict[str, Any] = {
        "setting": SETTING,
        "images": "sample",
        "image_count": 64,
        "image_mean_kb": 118.0,
        "target": "server",
        "targets": [TargetFigures(name, f"{name} 1, CPU", None, 3.0, 0.1, 600.0, None) for name in names],
        "figures": list(some),
        "command": "humandetect bench",
        "began": "2026-01-01T00:00:00+00:00",
    }
    return BenchReport(**(values | changes))
