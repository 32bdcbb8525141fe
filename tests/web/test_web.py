"""What pages elsewhere, and whoever else comes to a port, cannot do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from talk import ask, connect, port_of, raw, read

from nacre.errors import UsageError
from nacre.web import Assets, Guard, Limits, Refused, application, run, running

SMALL = Limits(deadline=0.6, idle=30, body=1 << 20, connections=64)
JSON = {"Content-Type": "application/json"}
TOKEN = "a-token"


async def _echo(request):
    body = await request.body()
    return JSONResponse({"path": request.url.path, "bytes": len(body), "text": body[:20].decode("latin-1")})


async def _break(request):
    raise RuntimeError("/home/somebody/secret.py")


async def _refuse(request):
    raise Refused(409, "Not now.", [(b"x-why", b"later")])


async def _slow(request):
    await asyncio.sleep(0.5)
    return JSONResponse("slow")


def _app(folder):
    every = ["GET", "POST", "PUT", "DELETE"]
    return application(
        [
            Route("/", _echo, methods=every),
            Route("/break", _break),
            Route("/refuse", _refuse),
            Route("/slow", _slow),
            Mount("/static", Assets(folder)),
        ]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.js").write_text("1")
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "inner").mkdir()
    return folder


@pytest.fixture(scope="module")
def url(folder):
    with running(_app(folder), limits=SMALL) as url:
        yield url


@pytest.fixture(scope="module")
def locked(folder):
    with running(_app(folder), token=TOKEN) as url:
        yield url


def _is_well(url):
    assert ask(url, method="POST", body=b"{}", headers=JSON).json["bytes"] == 2


def test_an_answer_with_a_policy_of_its_own_has_that_alone(folder):
    async def page(_request):
        return Response("", headers={"content-security-policy": "sandbox"})

    with running(application([Route("/", page)])) as url:
        policies = ask(url).headers
        assert policies["content-security-policy"] == "sandbox"
        assert policies["x-content-type-options"] == "nosniff"


# ------------------------------------------------------------------ hosts, pages, types, tokens


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost", "localhost:1", "127.0.0.1.evil.example:{port}", "127.0.0.2:{port}",
     "localhost.:{port}", "user@localhost:{port}", "[::1]", "0.0.0.0:{port}", ""],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/static/page.js", "/nowhere"])
def test_a_forged_host_is_refused_on_every_path(url, host, path):
    reply = ask(url, path, headers=[("Host", host.format(port=port_of(url)))], host=None)
    forged = raw(url, f"GET {path} HTTP/1.1\r\nHost: {host.format(port=port_of(url))}\r\n\r\n".encode())
    assert (reply.status, forged.status) == (421, 421)  # beside the right one, and alone
    assert list(forged.json) == ["error"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_our_own_names_are_answered(url, host):
    assert ask(url, host=f"{host}:{port_of(url)}").status == 200


def test_a_request_without_a_host_is_refused(url):
    assert raw(url, b"GET / HTTP/1.1\r\n\r\n").status == 421
    assert raw(url, b"GET / HTTP/1.0\r\n\r\n").status == 421


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://{own}", "http://{own}.evil.example", "http://localhost:1", ""],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_from_elsewhere_are_refused(url, origin, method):
    own = url.removeprefix("http://")
    reply = ask(url, method=method, body=b"{}", headers={"Origin": origin.format(own=own), **JSON})
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(("site", "use", "status"), [
    ("cross-site", "image", 403), ("same-site", "script", 403), ("cross-site", "iframe", 403),
    ("cross-site", "document", 200), ("same-origin", "empty", 200), ("none", "document", 200),
])  # fmt: skip
def test_pages_from_elsewhere_may_link_here_but_load_nothing(url, site, use, status):
    assert ask(url, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Dest": use}).status == status


def test_our_own_page_may_ask(url):
    assert ask(url, method="POST", body=b"{}", headers={"Origin": url, **JSON}).status == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_a_form_can_send_is_refused(url, kind, method):
    reply = ask(url, method=method, body=b"{}", headers={"Content-Type": kind})
    assert reply.status == 415
    assert "application/json" in reply.json["error"]


def test_methods_that_a_path_does_not_have_are_named_so(url, folder):
    reply = ask(url, method="TRACE")
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]
    with running(_app(folder), methods=lambda path: ["GET"]) as narrow:
        reply = ask(narrow, method="POST")
        assert (reply.status, reply.headers["allow"]) == (405, "GET")


def test_json_with_a_charset_is_json(url):
    assert (
        ask(url, method="POST", body=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"}).status == 200
    )


def test_what_changes_something_needs_the_token(locked):
    assert ask(locked).status == 200
    assert ask(locked, method="POST", body=b"{}", headers=JSON).status == 401
    for wrong in ("Bearer", "Bearer b-token", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"):
        assert ask(locked, method="POST", body=b"{}", headers={"Authorization": wrong, **JSON}).status == 401
    assert ask(locked, "/?token=wrong", method="POST", body=b"{}", headers=JSON).status == 401
    assert ask(locked, method="POST", body=b"{}", headers={"Authorization": f"Bearer {TOKEN}", **JSON}).status == 200
    assert ask(locked, f"/?token={TOKEN}", method="POST", body=b"{}", headers=JSON).status == 200


def test_the_token_in_the_address_becomes_a_cookie_that_no_script_and_no_other_page_has(locked):
    name = f"nacre-{port_of(locked)}"
    cookie = ask(locked, f"/?token={TOKEN}").headers["set-cookie"]
    assert cookie == f"{name}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert "set-cookie" not in ask(locked).headers
    assert ask(locked, method="POST", body=b"{}", headers={"Cookie": f"a=b; {name}={TOKEN}", **JSON}).status == 200
    assert ask(locked, method="POST", body=b"{}", headers={"Cookie": f"nacre-1={TOKEN}", **JSON}).status == 401
    assert ask(locked, f"/?token={TOKEN}", host="evil.example").status == 421  # and gets no cookie
    assert "set-cookie" not in ask(locked, f"/?token={TOKEN}", headers={"Origin": "null"}).headers


def _through(guard, **given):
    async def asked():
        host = given.pop("host")
        transport = httpx2.ASGITransport(guard)
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get("/", **given)

    return asyncio.run(asked()).status_code


def test_elsewhere_every_request_needs_the_token_and_addresses_in_figures_are_known(folder):
    guard = Guard(_app(folder), 8765, ["machine", "*"], TOKEN, always=True)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert _through(guard, host="machine:8765") == 401
    assert _through(guard, host="machine:8765", headers=bearer) == 200
    assert _through(guard, host="10.0.0.7:8765", headers=bearer) == 200
    assert _through(guard, host="[fe80::1]:8765", headers=bearer) == 200
    assert _through(guard, host="evil.example:8765", headers=bearer) == 421
    assert _through(guard, host="10.0.0.7:80", headers=bearer) == 421


@contextmanager
def _child(program):
    """A program whose prints are seen at once, and which is over when this is."""
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.terminate()


def test_binding_to_all_addresses_makes_a_token_and_tells_it():
    program = "from nacre.web import run, application; run(application([]), '0.0.0.0', 0)"
    with _child(program) as child:
        shown, _, token = child.stdout.readline().strip().partition("/?token=")
        local = f"http://127.0.0.1:{port_of(shown)}"
        assert socket.gethostname() in shown
        assert len(token) >= 32
        assert ask(local).status == 401
        assert ask(local, f"/?token={token}").status == 404  # it has no pages
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


# ------------------------------------------------------------------ what is answered


def test_answers_say_what_a_browser_may_do_with_them(url):
    for path in ("/", "/nowhere", "/static/page.js"):
        headers = ask(url, path).headers
        policy = dict(one.strip().split(" ", 1) for one in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_errors_are_short_json_without_paths(url, caplog):
    broken = ask(url, "/break")
    assert (broken.status, broken.json) == (500, {"error": "Something went wrong in the server."})
    _wait_for(lambda: "RuntimeError: /home/somebody" in caplog.text)  # whoever runs the server sees it
    assert ask(url, "/nowhere").json == {"error": "Not Found."}
    assert ask(url, "/slow", method="PUT", headers=JSON).status == 405
    refused = ask(url, "/refuse")
    assert (refused.status, refused.json, refused.headers["x-why"]) == (409, {"error": "Not now."}, "later")


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "%2e%2e%2fsecret.txt", "..\\secret.txt", "..%5csecret.txt",
     "....//secret.txt", "/etc/passwd", "//etc/passwd", "page.js/../../secret.txt", "page.js%00.txt", "inner", "inner/", ""],
)  # fmt: skip
def test_no_address_leads_out_of_the_folder(url, name):
    reply = ask(url, f"/static/{name}")
    assert reply.status in (400, 404, 307)
    assert b"secret" not in reply.body.replace(b"secret.txt", b"")
    assert ask(url, "/static/page.js").body == b"1"


# ------------------------------------------------------------------ sizes, speed, and tricks


def _head(url, *lines):
    return "\r\n".join(
        ["POST / HTTP/1.1", f"Host: {url.removeprefix('http://')}", "Content-Type: application/json", *lines, "", ""]
    ).encode()


def test_a_body_that_says_it_is_too_large_is_refused_unread(url):
    reply = raw(url, _head(url, "Content-Length: 20000000000"))
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert ask(url, method="POST", body=bytes(SMALL.body + 1), headers=JSON).status == 413
    assert ask(url, method="POST", body=bytes(SMALL.body), headers=JSON).json["bytes"] == SMALL.body


def test_endless_chunks_are_cut_at_the_limit(url):
    sent = 0
    with connect(url) as connection:
        connection.sendall(_head(url, "Transfer-Encoding: chunked"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - one of many
            while sent < 50 * SMALL.body:
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        assert read(connection).status == 413
    _is_well(url)


def test_chunks_are_put_together(url):
    reply = raw(url, _head(url, "Transfer-Encoding: chunked"), b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")
    assert reply.json == {"path": "/", "bytes": 5, "text": "abcde"}


SMUGGLED = b"GET /refuse HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    ["Content-Length: 5|Transfer-Encoding: chunked", "Transfer-Encoding: chunked|Content-Length: 5",
     "Content-Length: 5|Content-Length: 6", "Content-Length: 5|Content-Length: 5", "Content-Length: -5",
     "Content-Length: 0x5", "Content-Length: 5, 6", "Content-Length: +5", "Content-Length: 99999999999999999999999",
     "Content-Length: 5 5", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: xchunked",
     "Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding: chunked\nX: y", "X: a\rb",
     "X: a\0b", "Content-Length: 5\n|X: y"],
)  # fmt: skip
def test_a_request_that_can_be_cut_in_two_ways_is_refused(url, lines):
    reply = raw(url, _head(url, *lines.split("|")), b"0\r\n\r\n", SMUGGLED)
    assert reply.status == 400, reply
    assert b"Not now" not in reply.body
    _is_well(url)


@pytest.mark.parametrize("size", [b"-1", b"0x5", b"fffffffffffffffff", b"5 5", b"", b"+5", b"5;" + b"x" * 200_000])
def test_a_chunk_of_an_odd_size_is_refused(url, size):
    reply = raw(url, _head(url, "Transfer-Encoding: chunked"), size + b"\r\nabcde\r\n")
    assert reply.status in (400, 408, 413, 431), reply
    _is_well(url)


def test_what_is_no_http_is_refused(url):
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(200)
    versions = [b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    for data in (hello, bytes(1), bytes(5000), b"GET\r\n\r\n", b"G\xc3T / HTTP/1.1\r\n\r\n", *versions):
        reply = raw(url, data)
        assert reply.status == 400, (data, reply)
        assert list(reply.json) == ["error"]
    for target in ("http://evil.example/", "*", "localhost:80"):
        method = "CONNECT" if target == "localhost:80" else "OPTIONS"
        assert raw(url, f"{method} {target} HTTP/1.1\r\nHost: {url[7:]}\r\n\r\n".encode()).status == 400


def test_long_addresses_and_many_or_long_headers_are_refused(url):
    assert ask(url, "/" + "a" * 500_000).status == 414
    assert ask(url, "/" + "a" * 10_000).status == 414
    assert ask(url, headers={"X": "a" * 2_000_000}).status == 431
    assert ask(url, headers=[(f"X-{n}", "a") for n in range(20_000)]).status == 431
    assert ask(url, headers={"X": "a" * 60_000}).status == 200
    _is_well(url)


@pytest.mark.parametrize("trickle", [b"X: y\r\n", b"a", b"\r\n"])
def test_a_head_that_trickles_in_is_not_waited_for(url, trickle):
    with connect(url) as connection:
        connection.sendall(b"" if trickle == b"\r\n" else b"GET / HTTP/1.1\r\n" if trickle != b"a" else b"GET /")
        _trickle(connection, trickle)
        assert read(connection).status == 408


def test_a_body_that_trickles_in_is_not_waited_for(url):
    with connect(url) as connection:
        connection.sendall(_head(url, "Content-Length: 1000"))
        _trickle(connection, b"a")
        assert read(connection).status == 408
    with connect(url) as connection:
        connection.sendall(_head(url, "Transfer-Encoding: chunked"))
        _trickle(connection, b"1\r\na\r\n")
        assert read(connection).status == 408


def _trickle(connection, data):
    """Send a little every now and then, until nobody listens or nobody can wait any longer."""
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < 30:
            connection.sendall(data)
            time.sleep(0.05)
        pytest.fail("the server listened on and on")
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert time.monotonic() - begin > SMALL.deadline / 2


def test_many_slow_clients_keep_nobody_waiting(url):
    slow = [connect(url) for _ in range(40)]
    for connection in slow:
        connection.sendall(b"POST / HTTP/1.1\r\nX: ")
    _is_well(url)
    assert {read(connection).status for connection in slow} == {408}
    for connection in slow:
        connection.close()


def test_whoever_says_nothing_is_sent_away(url):
    with connect(url) as connection:
        assert read(connection).status == 0


def _wait_for(something):
    """Until it is true, for a while."""
    for _ in range(250):
        if something():
            return
        time.sleep(0.02)
    assert something()


def _open_files():
    return len(os.listdir("/proc/self/fd"))


def test_idle_connections_make_room_and_their_descriptors_return(url):
    before = _open_files()
    idle = [connect(url) for _ in range(300)]
    _is_well(url)
    _wait_for(lambda: _open_files() - before - 300 <= SMALL.connections + 10)  # the server is in this process too
    for connection in idle:
        connection.close()
    _wait_for(lambda: _open_files() <= before + 1)


def test_a_client_that_hangs_up_leaves_nothing_behind(url):
    before = _open_files()
    for _ in range(20):
        with connect(url) as connection:
            connection.sendall(_head(url, "Content-Length: 1000") + b"abc")
    _wait_for(lambda: _open_files() <= before + 1)
    _is_well(url)


def test_requests_on_one_connection_are_answered_in_order(url):
    one = f"GET /{{}} HTTP/1.1\r\nHost: {url[7:]}\r\n\r\n"
    with connect(url) as connection:
        connection.sendall("".join(one.format(path) for path in ("slow", "", "refuse")).encode())
        statuses = [read(connection)]
        rest = statuses[0]
        assert rest.status == 200
        assert b"slow" in rest.body
    with connect(url) as connection:
        connection.sendall(one.format("").encode() * 500)
        time.sleep(0.2)
        assert read(connection).status in (0, 200)  # too many at once
    _is_well(url)


def test_a_whole_request_is_answered_though_nonsense_follows(url):
    whole = f"GET /slow HTTP/1.1\r\nHost: {url[7:]}\r\n\r\n".encode()
    with connect(url) as connection:
        connection.sendall(whole + b"nonsense\r\n\r\n")
        reply = read(connection)
        assert (reply.json, reply.headers["connection"]) == ("slow", "close")
        assert read(connection).status == 0


def test_a_wish_for_another_protocol_is_passed_over(url):
    with connect(url) as connection:
        for _ in range(2):
            connection.sendall(
                f"GET / HTTP/1.1\r\nHost: {url[7:]}\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n".encode()
            )
            assert read(connection).status == 200


def test_bodies_of_all_clients_together_are_bounded(folder):
    limits = Limits(body=1000, deadline=3)
    with running(_app(folder), limits=limits) as url:
        waiting = []
        for _ in range(4):
            waiting.append(connect(url))
            waiting[-1].sendall(_head(url, "Content-Length: 1000") + bytes(990))
        time.sleep(0.1)
        assert ask(url, method="POST", body=bytes(100), headers=JSON).status == 503
        for connection in waiting:
            connection.close()
        time.sleep(0.1)
        _is_well(url)


# ------------------------------------------------------------------ beginning and ending


def test_a_port_in_use_is_told_in_one_line(url):
    with pytest.raises(UsageError, match=r"^Port \d+ is in use") as told:
        run(application([]), port=port_of(url))
    assert "Traceback" not in str(told.value)
    with pytest.raises(UsageError, match="no host called 'no such host'"):
        run(application([]), "no such host")


def test_a_token_that_would_need_quotes_is_refused():
    for token in ("", "a b", "a;b", "a\r\nSet-Cookie: b"):
        with pytest.raises(UsageError, match="A token is letters"):
            run(application([]), port=0, token=token)


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_finish(which, tmp_path):
    program = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_web import _app
from pathlib import Path
from nacre.web import run
run(_app(Path({str(tmp_path)!r})), port=0, stopping=lambda: print("stopping"))
"""
    with _child(program) as child:
        url = child.stdout.readline().strip().rstrip("/")
        with connect(url), connect(url) as connection:  # one of them idle
            connection.sendall(f"GET /slow HTTP/1.1\r\nHost: {url[7:]}\r\n\r\n".encode())
            time.sleep(0.1)
            child.send_signal(which)
            assert read(connection).json == "slow"
        assert child.wait(10) == 0
        assert child.stdout.read() == "stopping\n"


def test_the_first_free_port_is_taken():
    program = "from nacre.web import run, application; run(application([]))"
    with _child(program) as one, _child(program) as other:
        found = [port_of(child.stdout.readline().strip()) for child in (one, other)]
        assert len(set(found)) == 2
        assert min(found) >= 8765


def test_importing_nacre_brings_no_server():
    servers = "starlette uvicorn httptools msgspec asyncio"
    code = f"import sys, nacre.cli; print([m for m in {servers.split()!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
