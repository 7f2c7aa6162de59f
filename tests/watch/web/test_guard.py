"""Who gets to see cameras."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.watch.web.serving import showing

KEY = "k3y"


def test_without_a_key_only_own_names_are_answered_so_that_no_name_server_lends_one() -> None:
    with showing() as site:
        for host in ("127.0.0.1", "localhost:8080", "[::1]:80", "192.168.1.7"):
            assert site.http.get("/v1/cameras", headers={"Host": host}).status_code == 200
        for host in ("attacker.example", "127.0.0.1.attacker.example", ""):
            assert site.http.get("/v1/cameras", headers={"Host": host}).status_code == 403


def test_pages_from_elsewhere_can_neither_look_nor_change() -> None:
    with showing() as site:
        for origin in ("https://attacker.example", "null"):
            answer = site.http.post("/cameras/door/scene", content="", headers={"Origin": origin})
            assert (answer.status_code, "no business here" in answer.text) == (403, True)
            with pytest.raises(InvalidStatus, match="403"):
                connect(site.live, additional_headers={"Origin": origin})


def test_nothing_is_seen_without_the_key() -> None:
    with showing(key=KEY) as site:
        site.cameras.step("door")
        shown = ["/", "/healthz", "/readyz", "/static/watch.js"]
        hidden = ["/v1/cameras", "/v1/events", "/metrics", "/cameras/door.jpg", "/cameras/door.mjpg"]
        assert [site.http.get(path).status_code for path in shown] == [200] * 4
        assert "door" not in site.http.get("/readyz").text
        assert [site.http.get(path).status_code for path in hidden] == [401] * 5
        assert site.http.get("/cameras/door/scene").status_code == 401
        with pytest.raises(InvalidStatus, match="403"):
            connect(site.live)


@pytest.mark.parametrize("how", ["bearer", "header", "password"])
def test_the_key_opens_in_a_header_or_as_the_password_that_players_ask_for(how: str) -> None:
    headers = {"bearer": {"Authorization": f"Bearer {KEY}"}, "header": {"X-API-Key": KEY}}
    with showing(key=f"{KEY}\n") as site:
        auth = ("anyone", KEY) if how == "password" else None
        answer = site.http.get("/v1/cameras", headers=headers.get(how), auth=auth)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        with connect(site.live, additional_headers={"X-API-Key": KEY}):
            pass


def test_a_browser_gets_a_pass_for_the_key_that_opens_sockets_and_pictures() -> None:
    with showing(key=KEY) as site:
        site.cameras.step("door")
        assert site.http.post("/v1/session", headers={"X-API-Key": "wrong"}).status_code == 401
        answer = site.http.post("/v1/session", headers={"X-API-Key": KEY})
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert KEY not in cookie
        assert site.http.get("/cameras/door.jpg").status_code == 200  # httpx keeps it, as browsers do
        with connect(site.live, additional_headers={"Cookie": cookie.partition(";")[0]}):
            pass


def test_a_pass_of_another_key_opens_nothing() -> None:
    with showing(key="other") as other:
        cookie = other.http.post("/v1/session", headers={"X-API-Key": "other"}).headers["set-cookie"]
    with showing(key=KEY) as site:
        headers = {"Cookie": cookie.partition(";")[0]}
        assert site.http.get("/v1/cameras", headers=headers).status_code == 401
