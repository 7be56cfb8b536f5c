"""packaging/Caddyfile and packaging/nginx.conf in front of the release binary, with a certificate and ports of our own."""

import contextlib
import hashlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import time

import httpx
import pytest

from support import OWNER, PASSWORD, REPOSITORY, Directory

# Not a trusted proxy, as 127.0.0.1 is.
CLIENT = "127.0.0.2"
N_ROWS = 40_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def replaced(sample, pairs):
    """The sample with these of its texts as they are here; each must be in it."""
    text = (REPOSITORY / "packaging" / sample).read_text()
    for old, new in pairs.items():
        assert old in text, f"{sample} has no {old!r}"
        text = text.replace(old, new)
    return text


def nginx(place, certificate, key, port, upstream):
    site = replaced(
        "nginx.conf",
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "listen [::]:443 ssl;": "",
            "127.0.0.1:7465": upstream,
            "audit.example.org;": "localhost;",
            "/etc/ssl/certs/audit.example.org.pem": str(certificate),
            "/etc/ssl/private/audit.example.org.key": str(key),
        },
    )
    (place / "site.conf").write_text(site)
    paths = "".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    )
    (place / "nginx.conf").write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log; events {{}}"
        f"http {{ access_log off; {paths} include {place}/site.conf; }}"
    )
    return ["nginx", "-e", f"{place}/error.log", "-p", str(place), "-c", str(place / "nginx.conf")]


def caddy(place, certificate, key, port, upstream):
    site = replaced(
        "Caddyfile",
        {
            "audit.example.org {": f"localhost:{port} {{\n\ttls {certificate} {key}",
            "127.0.0.1:7465": upstream,
        },
    )
    (place / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
    return ["caddy", "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    directory = Directory(tmp_path_factory.mktemp("served"))
    with directory.serving() as server:
        server.directory = directory
        yield server


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request, served, tmp_path_factory):
    """A client of the proxy, from an address that nobody trusts."""
    # The workers of nginx are another user, which must reach its temporary files.
    place = pathlib.Path(tmp_path_factory.mktemp("proxy"))
    certificate, key, port = place / "certificate", place / "key", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    for folder in [place, *list(place.parents)[:2]]:
        folder.chmod(0o755)
    command = request.param(place, certificate, key, port, served.url.removeprefix("http://"))
    log = place / "log"
    environment = os.environ | {"HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        wait_for(port, process, log)
        context = ssl.create_default_context(cafile=certificate)
        transport = httpx.HTTPTransport(verify=context, local_address=CLIENT)
        with httpx.Client(transport=transport, base_url=f"https://localhost:{port}", timeout=120) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_the_cookie_is_secure_and_forged_addresses_are_dropped(served, proxy):
    forged = {
        "X-Forwarded-For": "203.0.113.6, 127.0.0.1",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=203.0.113.6",
        "X-Real-IP": "203.0.113.6",
    }
    answer = proxy.post("/api/v1/auth/login", json={"email": OWNER, "password": PASSWORD}, headers=forged)
    assert answer.status_code == 200, answer.text
    attributes = [part.strip() for part in answer.headers["set-cookie"].split(";")]
    assert "Secure" in attributes and "HttpOnly" in attributes
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    login = served.directory.rows("query", "activity", "--limit", "1")[0]
    assert (login["action"], login["ip_address"]) == ("auth.login", CLIENT)
    cookie = answer.headers["set-cookie"].split(";")[0]
    me = proxy.get("/api/v1/me", headers={"Cookie": cookie})
    assert (me.status_code, me.json()["email"]) == (200, OWNER)
    # Without a proxy there is no TLS, and whoever says so comes from an address that is believed.
    direct = served.post("/api/v1/auth/login", body={"email": OWNER, "password": PASSWORD})
    assert "Secure" not in direct.headers["set-cookie"]


def test_large_streams_pass_whole_both_ways(served, proxy):
    key = {"Authorization": f"Bearer {served.directory.key}"}
    tenant = served.directory.json("tenant", "create", "--name", "Acme")["id"]

    def lines():
        for n in range(N_ROWS):
            event = {
                "tenant_id": tenant,
                "mailbox_address": f"mailbox-{n}@stream.example",
                "action_taken": "blocked",
                "sent_count": n + 1,
                "limit_value": n,
                "message": f"Mailbox blocked: sent {n + 1}, limit {n}, " + "x" * 100,
            }
            yield json.dumps(event).encode() + b"\n"

    # Sent in chunks, of a length that nobody knows before.
    headers = key | {"Content-Type": "application/x-ndjson"}
    answer = proxy.post("/v1/enforcement/events", content=lines(), headers=headers)
    assert (answer.status_code, answer.json()["count"]) == (201, N_ROWS), answer.text
    path = f"/v1/enforcement/events?tenant_id={tenant}&format=ndjson"
    sums, n_lines = {}, {}
    for name, client, url in [("proxy", proxy, path), ("direct", served.client, served.url + path)]:
        digest, count = hashlib.sha256(), 0
        with client.stream("GET", url, headers=key) as stream:
            assert stream.status_code == 200
            for chunk in stream.iter_bytes():
                digest.update(chunk)
                count += chunk.count(b"\n")
        sums[name], n_lines[name] = digest.hexdigest(), count
    assert n_lines == {"proxy": N_ROWS, "direct": N_ROWS}
    assert sums["proxy"] == sums["direct"]


def test_refusals_pass_as_they_are(served, proxy):
    key = {"Authorization": f"Bearer {served.directory.key}"}
    path = "/v1/enforcement/events"
    for headers, target, status in [({}, path, 401), (key, path + "?limit=many", 422), (key, "/nothing", 404)]:
        answer = proxy.get(target, headers=headers)
        direct = served.client.get(served.url + target, headers=headers)
        assert (answer.status_code, answer.text) == (status, direct.text)
        assert answer.headers["content-type"] == direct.headers["content-type"]
        assert "x-request-id" in answer.headers
    # Larger than a route takes (max_body), and larger than any does (max_bulk_body).
    for target, size in [("/api/v1/auth/login", 3 << 20), (path, 17 << 20)]:
        answer = proxy.post(target, content=b"x" * size, headers=key | {"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 413, (target, answer.status_code, answer.text)
        # In the words of the API that was asked, not in the proxy's.
        assert "route accepts" in answer.text and answer.headers["content-type"] == "application/json", answer.text
    # It serves on after all that.
    assert proxy.get("/healthz").status_code == 200
