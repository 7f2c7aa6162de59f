"""The API: pictures, events, counts, health."""

from __future__ import annotations

import json
import ssl
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme
from websockets.sync.client import connect

from humandetect.config.web import WebConfig
from humandetect.errors import ServerError, UsageError
from humandetect.media.images import decode_image
from humandetect.service.process.http import certificates
from humandetect.watch.web.server import page_served
from tests.certificates import issued
from tests.waiting import eventually
from tests.watch.web.cameras import FakeCameras, FakeMemory, count_row, crossing
from tests.watch.web.serving import showing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.watch.web.serving import Site

SCENE = 'size = [1280, 720]\n\n[[line]]\nname = "gate"\nfrom = [100, 600]\nto = [1180, 560]\n'


def parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pictures of a stream as players find them."""
    data = b""
    for chunk in chunks:
        data += chunk
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = int(data[:end].rpartition(b": ")[2])
            if len(data) < end + 4 + length:
                break
            yield data[end + 4 : end + 4 + length]
            data = data[end + 4 + length :]


def test_cameras_are_told_with_all_there_is_to_know(site: Site) -> None:
    door, yard = site.http.get("/v1/cameras").json()["cameras"]
    assert (door["name"], door["state"], door["people"], door["size"]) == ("door", "live", 2, [1280, 720])
    assert (door["totals"], door["occupancy"]) == ({"gate": {"in": 15, "out": 18}}, {"waiting": 1})
    assert door["address"] == "rtsp://door.example/…"
    assert datetime.fromisoformat(door["last_picture"]).tzinfo
    assert (yard["state"], yard["people"], yard["last_picture"]) == ("connecting", None, None)


def test_a_picture_and_a_stream_of_pictures_need_no_page() -> None:
    with showing() as site:
        site.cameras.step("door")
        answer = site.http.get("/cameras/door.jpg")
        assert decode_image(answer.content, max_megapixels=1).shape == (360, 640, 3)
        assert site.http.get("/cameras/yard.jpg").status_code == 503
        assert site.http.get("/cameras/none.jpg").status_code == 404
        with site.http.stream("GET", "/cameras/door.mjpg") as stream:
            assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
            shown = parts(stream.iter_raw())
            assert next(shown) == answer.content
            site.cameras.step("door")
            assert next(shown) != answer.content


def test_a_stream_goes_on_with_its_last_picture_while_a_camera_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.watch.web.streams.AGAIN_SECONDS", 0.05)
    with showing() as site:
        site.cameras.step("door")
        with site.http.stream("GET", "/cameras/door.mjpg") as stream:
            shown = parts(stream.iter_raw())
            assert next(shown) == next(shown)


def test_events_are_told_newest_first_by_camera_and_page_by_page() -> None:
    memory = FakeMemory(events=[crossing(number, camera=name) for number in range(4) for name in ("door", "yard")])
    with showing(memory=memory) as site:

        def ids(query: str) -> list[str]:
            return [event["id"] for event in site.http.get(f"/v1/events?{query}").json()["events"]]

        assert ids("limit=3") == ["yard-3", "door-3", "yard-2"]
        assert ids("camera=door&limit=2") == ["door-3", "door-2"]
        assert ids("camera=door&limit=2&before=door-2") == ["door-1", "door-0"]
        for limit in ("0", "1001", "all", "²"):
            assert site.http.get(f"/v1/events?limit={limit}").status_code == 422


def test_a_stream_of_events_begins_where_its_reader_left_off() -> None:
    memory = FakeMemory(events=[crossing(number) for number in range(3)])
    with showing(memory=memory) as site:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "door-0"}
        with site.http.stream("GET", "/v1/events?camera=door", headers=headers) as stream:
            lines = (line for line in stream.iter_lines() if line.startswith("data: "))
            told = [json.loads(next(lines)[6:])["id"] for _ in range(2)]
            site.cameras.happen(crossing(2))  # known already
            site.cameras.happen(crossing(7, camera="yard"))
            site.cameras.happen(crossing(3))
            told.append(json.loads(next(lines)[6:])["id"])
        assert told == ["door-1", "door-2", "door-3"]


def test_a_silent_stream_of_events_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humandetect.watch.web.streams.ALIVE_SECONDS", 0.05)
    with showing() as site, site.http.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as stream:
        assert ": alive" in stream.iter_lines()


def test_the_head_of_a_stream_has_an_end(site: Site) -> None:
    assert site.http.head("/cameras/door.mjpg").headers["content-type"].startswith("multipart/x-mixed-replace")
    events = site.http.head("/v1/events", headers={"Accept": "text/event-stream"})
    assert events.headers["content-type"].startswith("text/event-stream")


def test_counts_are_those_of_today_by_line_and_zone_and_hour() -> None:
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        count_row("door", "line", "gate", at=midnight - timedelta(minutes=1), values={"in": 100, "out": 100}),
        count_row("door", "line", "gate", at=midnight, values={"in": 2, "out": 1}),
        count_row("door", "line", "gate", at=midnight + timedelta(hours=9), values={"in": 3, "out": 0}),
        count_row("door", "zone", "waiting", at=midnight, values={"visits": 4, "inside_max": 2}),
        count_row("yard", "line", "gate", at=midnight, values={"in": 50, "out": 50}),
    ]
    with showing() as site:
        site.cameras.rows = rows
        gate, waiting = site.http.get("/v1/counts?camera=door").json()["counts"]
        assert (gate["name"], gate["in"], gate["out"]) == ("gate", 5, 1)
        assert (gate["hours"][0], gate["hours"][9], sum(gate["hours"])) == (3, 3, 6)
        assert (waiting["visits"], waiting["inside_max"], waiting["hours"][0]) == (4, 2, 4)
        assert site.http.get("/v1/counts").status_code == 422


def test_readiness_is_whether_any_camera_is_seen() -> None:
    with showing() as site:
        assert site.http.get("/healthz").status_code == 200
        assert site.http.get("/readyz").status_code == 503
        site.cameras.step("yard")
        ready = site.http.get("/readyz")
        assert (ready.status_code, ready.json()["cameras"]) == (200, {"connecting": 1, "live": 1})


def test_metrics_are_those_of_the_cameras(site: Site) -> None:
    assert 'humandetect_camera_people{camera="door"} 2.0' in site.http.get("/metrics").text.splitlines()


def test_a_scene_is_drawn_checked_and_saved_by_the_camera_s_own_file(tmp_path: Path) -> None:
    with showing(FakeCameras("door", folder=tmp_path)) as site:
        assert site.http.get("/cameras/door/scene/picture").status_code == 503
        site.cameras.step("door")
        assert site.http.get("/cameras/door/scene/picture").headers["content-type"] == "image/jpeg"
        assert "door.toml" in site.http.get("/cameras/door/scene").text
        assert site.http.get("/cameras/door/static/scene.js").status_code == 200
        wrong = site.http.post("/cameras/door/scene", content=SCENE.replace("[1180, 560]", "[1180]"))
        assert wrong.status_code == 422
        assert "door.new.toml" in wrong.json()["message"]
        assert site.http.post("/cameras/door/scene", content=b"\xff").status_code == 422
        assert site.http.post("/cameras/door/scene", content=b"#" * 1_000_001).status_code == 413
        assert not (tmp_path / "door.toml").exists()
        assert site.http.post("/cameras/door/scene", content=SCENE).json() == {"path": "door.toml"}
        assert (tmp_path / "door.toml").read_text() == SCENE
        (tmp_path / "door.toml").write_text('[[source."a.mp4".line]]\n')
        assert "by source" in site.http.get("/cameras/door/scene").json()["message"]


def test_a_camera_without_a_file_for_its_scene_has_no_page_for_it(site: Site) -> None:
    for answer in (site.http.get("/cameras/door/scene"), site.http.post("/cameras/door/scene", content=SCENE)):
        assert (answer.status_code, "give it a `scene`" in answer.text) == (404, True)


def test_nothing_but_parts_of_the_page_is_static(site: Site) -> None:
    for name in ("..%2fapp.py", "watch.html", "none.js"):
        assert site.http.get(f"/static/{name}").status_code == 404


def test_it_ends_at_once_however_many_look_and_listens_no_more() -> None:
    with showing() as site:
        site.cameras.step("door")
        stream = httpx.stream("GET", f"{site.url}cameras/door.mjpg", timeout=60)
        shown = parts(stream.__enter__().iter_raw())
        next(shown)
        began = datetime.now().astimezone()
    assert list(shown) == []
    assert datetime.now().astimezone() - began < timedelta(seconds=15)  # a stream has no end of its own
    eventually(lambda: site.cameras.audiences == 0)


def test_with_a_certificate_all_is_encrypted_and_a_browser_keeps_its_pass_from_what_is_not(tmp_path: Path) -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    cert, key = issued(authority, tmp_path)
    config = WebConfig("0", api_key="letmein", tls_cert=cert, tls_key=key)
    with page_served(config, FakeCameras("door"), FakeMemory()) as (url, _):
        assert url.startswith("https://127.0.0.1:")
        answer = httpx.post(f"{url}v1/session", headers={"X-API-Key": "letmein"}, verify=trust)
        cookie, *ways = answer.headers["set-cookie"].split("; ")
        assert "Secure" in ways
        live = f"{url.replace('http', 'ws', 1)}v1/live"
        with connect(live, ssl=trust, additional_headers={"Cookie": cookie}) as page:
            assert "door" in page.recv(60)


def test_a_certificate_that_was_renewed_is_shown_to_whoever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    cert, key = issued(authority, tmp_path)
    with page_served(WebConfig("0", tls_cert=cert, tls_key=key), FakeCameras(), FakeMemory()) as page:
        port = int(page.url.rpartition(":")[2].strip("/"))

        def shown() -> str:
            return ssl.get_server_certificate(("127.0.0.1", port), timeout=60)

        before = shown()
        issued(authority, tmp_path)
        assert shown() == before
        page.renew()
        assert shown() == cert.read_text() != before
        cert.write_text("half a")
        with pytest.raises(ServerError, match=f"--tls-cert {cert} and --tls-key"):
            page.renew()
        issued(authority, tmp_path)
        monkeypatch.setattr(certificates, "_check_readable", lambda _, path: path.unlink())
        with pytest.raises(ServerError, match=r"cannot read .*: No such file"):
            page.renew()
        assert httpx.get(page.url, verify=trust).status_code == 200


def test_a_certificate_that_is_none_is_told_before_the_port_is_taken(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    with pytest.raises(ServerError, match=r"cannot read --tls-cert .*none\.pem: No such file"):
        page_served(WebConfig("0", tls_cert=none, tls_key=none), FakeCameras(), FakeMemory()).__enter__()
    with pytest.raises(UsageError, match="TLS needs both"):
        WebConfig("0", tls_cert=none)


def test_a_port_that_is_taken_and_a_host_that_is_none_are_told() -> None:
    with showing() as site:
        port = site.url.rpartition(":")[2].strip("/")
        with pytest.raises(ServerError, match=f"--web 127.0.0.1:{port}.*in use"):
            page_served(WebConfig(port), FakeCameras(), FakeMemory()).__enter__()
    with pytest.raises(ServerError, match=r"--web nowhere\.invalid:0 \((?!Unknown)[\w ]+\)"):
        page_served(WebConfig("nowhere.invalid:0"), FakeCameras(), FakeMemory()).__enter__()
