"""The vendors' own documents, run as they are written against the release binary.

    cargo build --release
    pip install -r tests/vendor/requirements.txt
    pytest tests/vendor

What stands here in the words of a document is copied from it; only the host, the key and the ids are replaced. The
Python SDK is the one on PyPI. There is no `@mailbuttons/sdk` on the npm registry (2026), so the documents' JavaScript
runs over mailbuttons.mjs, which is the SDK's surface over fetch.
"""

import asyncio
import concurrent.futures
import datetime
import hashlib
import json
import pathlib
import re
import time

import httpx
import mailbuttons
import mailbuttons.client
import pydantic
import pytest
from mailbuttons import (
    AuditConfig,
    AuditEntry,
    AuthError,
    ContentGuard,
    Mailbuttons,
    MailPolicy,
    NetworkError,
    NotFoundError,
    RateLimit,
    SenderMatch,
    SenderRule,
    TokenBudget,
    ValidationError,
)
from support import MAIL, OWNER, PASSWORD, USER, Directory, Server, bash, in_threads, join, node, operator

HERE = pathlib.Path(__file__).resolve().parent


class World:
    """A served directory with a tenant, a mailbox and a project, all made by the command line."""

    def __init__(self, directory, server):
        self.directory, self.server = directory, server
        self.url, self.key = server.url, directory.key
        self.tenant = self.new("tenant", "--name", "Acme")
        self.project = self.new("project", "--name", "Newsletter")
        self.mailbox = self.new_mailbox("agent@acmecorp.com")

    def new(self, kind, *arguments):
        """Made by the command line in the first workspace; its id."""
        workspace = self.directory.made["workspace_id"]
        return self.directory.json("--workspace", workspace, kind, "create", *arguments)["id"]

    def new_mailbox(self, address):
        return self.new("mailbox", "--address", address)

    def new_workspace(self, name):
        """Another workspace of the same installation: its key."""
        id = self.directory.json("workspace", "create", "--name", name)["id"]
        scopes = ["enforcement:read", "enforcement:write", "messages:read", "messages:write"]
        return self.directory.json("--workspace", id, "key", "create", "--name", "k", "--scope", *scopes)["key"]

    def block(self, tenant, at, n=1, address="sales@mail.acmecorp.com", action="blocked"):
        """Records events, one a second from `at` on."""
        sent = 26 if action == "blocked" else 0
        events = [
            {
                "tenant_id": tenant,
                "mailbox_address": address,
                "action_taken": action,
                "sent_count": sent,
                "limit_value": 25,
                "created_at": (at + datetime.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for second in range(n)
        ]
        return self.server.post("/v1/enforcement/events", self.key, {"events": events}).json()["events"]

    def record(self, mailbox, **entry):
        return self.server.post(f"/v1/mailboxes/{mailbox}/audit-logs", self.key, entry).json()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = Directory(tmp_path_factory.mktemp("vendors"))
    with directory.serving() as server:
        yield World(directory, server)


APRIL = datetime.datetime(2025, 4, 20, 14, 30)

# ---------------------------------------------------------------------------------------------- TenantCore

ALL_EVENTS = '''
curl "https://api.tenantcore.io/v1/enforcement/events" \\
  -H "Authorization: Bearer tc_live_your_key"
'''
BLOCKS_OF_A_TENANT = '''
curl "https://api.tenantcore.io/v1/enforcement/events?tenant_id=xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx&action=blocked" \\
  -H "Authorization: Bearer tc_live_your_key"
'''
PAGINATED = '''
curl "https://api.tenantcore.io/v1/enforcement/events?limit=100&offset=100" \\
  -H "Authorization: Bearer tc_live_your_key"
'''

# The example response's own keys, in its order.
ENVELOPE = ["events", "count", "total", "limit", "offset", "filters"]
EVENT = ["id", "tenant_id", "mailbox_address", "action_taken", "sent_count", "limit_value", "message", "created_at"]


class Account:
    """A workspace of its own with TenantCore's example in it: a block, and the unblocking after the reset."""

    def __init__(self, directory, server):
        self.directory, self.server = directory, server
        self.key = "tc_live_" + hashlib.sha256(str(directory.place).encode()).hexdigest()[:48]
        scopes = ["--scope", "enforcement:read,enforcement:write"]
        directory.run("key", "create", "--name", "TenantCore", *scopes, "--key-stdin", stdin=self.key + "\n")
        self.world = World(directory, server)
        self.tenant, self.other = self.world.tenant, self.world.new("tenant", "--name", "Other")
        self.blocked = self.world.block(self.tenant, APRIL)[0]
        reset = datetime.datetime(2025, 4, 21, 0, 5)
        self.unblocked = self.world.block(self.tenant, reset, action="unblocked")[0]
        self.elsewhere = self.world.block(self.other, APRIL - datetime.timedelta(days=1), n=150)

    def curl(self, line):
        line = line.replace("https://api.tenantcore.io", self.server.url).replace("tc_live_your_key", self.key)
        return json.loads(bash(line.replace("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", self.tenant).strip()))


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    directory = Directory(tmp_path_factory.mktemp("tenantcore"))
    with directory.serving() as server:
        yield Account(directory, server)


def test_tenantcore_all_events(account):
    page = account.curl(ALL_EVENTS)
    assert list(page) == ENVELOPE
    assert (page["count"], page["total"], page["limit"], page["offset"]) == (50, 152, 50, 0)
    assert list(page["filters"].items()) == [("tenant_id", None), ("action", None)]
    assert len(page["events"]) == 50
    for event in page["events"]:
        assert list(event)[: len(EVENT)] == EVENT
    # Most recent first: the unblocking, the block, the other tenant's.
    vendors = [{name: event[name] for name in EVENT[1:]} for event in page["events"][:2]]
    assert vendors == [
        {
            "tenant_id": account.tenant,
            "mailbox_address": "sales@mail.acmecorp.com",
            "action_taken": "unblocked",
            "sent_count": 0,
            "limit_value": 25,
            "message": "Mailbox unblocked: sent 0, limit 25",
            "created_at": "2025-04-21T00:05:00Z",
        },
        {
            "tenant_id": account.tenant,
            "mailbox_address": "sales@mail.acmecorp.com",
            "action_taken": "blocked",
            "sent_count": 26,
            "limit_value": 25,
            "message": "Mailbox blocked: sent 26, limit 25",
            "created_at": "2025-04-20T14:30:00Z",
        },
    ]
    ids = [event["id"] for event in page["events"]]
    assert ids == [e["id"] for e in [account.unblocked, account.blocked, *account.elsewhere[::-1]]][:50]


def test_tenantcore_blocks_of_a_tenant(account):
    page = account.curl(BLOCKS_OF_A_TENANT)
    assert list(page) == ENVELOPE
    assert page["events"] == [account.blocked]
    del page["events"]
    filters = {"tenant_id": account.tenant, "action": "blocked"}
    assert page == {"count": 1, "total": 1, "limit": 50, "offset": 0, "filters": filters}


def test_tenantcore_paginated(account):
    page = account.curl(PAGINATED)
    assert (page["count"], page["total"], page["limit"], page["offset"]) == (52, 152, 100, 100)
    assert [event["id"] for event in page["events"]] == [e["id"] for e in account.elsewhere[::-1][98:]]


def test_tenantcore_errors(account):
    foreign_key = account.world.new_workspace("Elsewhere")
    unknown = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11"
    events = "/v1/enforcement/events"
    answer = account.server.get(f"{events}?tenant_id={unknown}", account.key, status=404)
    assert answer.json() == {"detail": {"message": "Tenant not found", "code": "tenant_not_found"}}
    foreign = account.server.get(f"{events}?tenant_id={account.tenant}", foreign_key, status=404)
    assert foreign.content == answer.content
    for headers, code in [
        ({}, "invalid_auth_header"),
        ({"Authorization": "Basic YTpi"}, "invalid_auth_header"),
        ({"Authorization": "Bearer"}, "missing_api_key"),
        ({"Authorization": "Bearer tc_live_your_key"}, "invalid_api_key"),
        ({"Authorization": "Bearer tc_live_" + "0" * 48}, "invalid_api_key"),
    ]:
        answer = account.server.get(events, headers=headers, status=401)
        assert list(answer.json()) == ["detail"] and list(answer.json()["detail"]) == ["message", "code"]
        assert answer.json()["detail"]["code"] == code
    for query, parameter in [("action=paused", "action"), ("limit=many", "limit"), ("tenant=x", "tenant")]:
        detail = account.server.get(f"{events}?{query}", account.key, status=422).json()["detail"]
        assert detail["code"] == "invalid_parameter"
        assert detail["message"].startswith(f"{parameter}: ")


def enforcement_module(url, more):
    """The document's function, its host replaced, and what is to be done with it."""
    function = (HERE / "enforcement.mjs").read_text()
    assert function.count("https://api.tenantcore.io") == 1
    return function.replace("https://api.tenantcore.io", url) + more


# Before each page it asks for, three more events come in: the pages shift under the loop.
COUNTED = """
const [key, tenant] = process.argv.slice(2);
const asked = [], ask = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const event = { tenant_id: tenant, mailbox_address: "new@acmecorp.com", action_taken: "blocked",
                  sent_count: 26, limit_value: 25 };
  const made = await ask(new URL("/v1/enforcement/events", url), {
    method: "POST", headers: { ...options.headers, "Content-Type": "application/json" },
    body: JSON.stringify({ events: [event, event, event] }),
  });
  if (made.status !== 201) throw new Error(await made.text());
  asked.push(new URL(url).search);
  return ask(url, options);
};
const all = await getAllEnforcementEvents(key);
console.log(JSON.stringify({ asked, ids: all.map((event) => event.id) }));
"""


@pytest.fixture
def of_450(tmp_path):
    """A workspace with 450 events and nothing else."""
    directory = Directory(tmp_path)
    with directory.serving() as server:
        world = World(directory, server)
        world.events = world.block(world.tenant, APRIL, n=450)
        yield world


def test_tenantcore_loop_with_inserts_between_pages(of_450):
    out, _ = node(enforcement_module(of_450.url, COUNTED), of_450.key, of_450.tenant)
    found = json.loads(out)
    # 453, 456, then 459 events: two full pages and the rest. Three rows slid onto the next page, twice.
    assert found["asked"] == [f"?limit=200&offset={offset}" for offset in (0, 200, 400)]
    assert len(found["ids"]) == 459
    assert len(set(found["ids"])) == 453
    assert {event["id"] for event in of_450.events} <= set(found["ids"])


def test_tenantcore_loop_under_concurrent_inserts(of_450):
    def insert():
        for _ in range(100):
            of_450.block(of_450.tenant, datetime.datetime.now(datetime.timezone.utc))

    inserting = in_threads(insert, insert)
    loop = "\nconsole.log(JSON.stringify((await getAllEnforcementEvents(process.argv[2])).map((event) => event.id)));\n"
    runs = [json.loads(node(enforcement_module(of_450.url, loop), of_450.key)[0]) for _ in range(3)]
    join(*inserting)
    runs.append(json.loads(node(enforcement_module(of_450.url, loop), of_450.key)[0]))
    for ids in runs:
        assert {event["id"] for event in of_450.events} <= set(ids)
        assert 450 <= len(ids) <= 650 + 200
    # When nothing comes in any more, every event comes exactly once.
    assert len(runs[-1]) == len(set(runs[-1])) == 650


def test_tenantcore_loop_over_nothing(tmp_path):
    directory = Directory(tmp_path)
    with directory.serving() as server:
        loop = "\nconsole.log(JSON.stringify(await getAllEnforcementEvents(process.argv[2])));\n"
        assert node(enforcement_module(server.url, loop), directory.key)[0] == "[]\n"


# ---------------------------------------------------------------------------------------------- Mailbuttons


async def reconstruct(client: Mailbuttons, mailbox_id: int, thread_id: str) -> list[AuditEntry]:
    out: list[AuditEntry] = []
    cursor: int | None = None
    while True:
        page = await client.get_audit_log(mailbox_id, thread_id=thread_id, cursor=cursor, limit=200)
        out.extend(page.items)
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    return sorted(out, key=lambda e: e.received_at)


# The document says that `received_at` is epoch seconds, and so does the SDK's repository (`received_at: int`); the
# wheel on PyPI was made before that, and wants text. `test_sdk_as_published` holds that down to this one field; under a base
# URL of its own it gets text.
AS_DOCUMENTED = pydantic.create_model("AuditEntry", __base__=AuditEntry, received_at=(int, ...))


@pytest.fixture
def documented_entry(monkeypatch):
    monkeypatch.setattr(mailbuttons.client, "AuditEntry", AS_DOCUMENTED)


def sdk(world, work, path="/api", key=None):
    """Runs `work` with the SDK, only its base URL changed."""

    async def main():
        async with Mailbuttons(key or world.key, base_url=world.url + path) as client:
            return await work(client)

    return asyncio.run(main())


BASES = pytest.mark.parametrize("base", ["", "/api", "/api/"])

OUTCOMES = [
    "delivered",
    "rejected_at_verification",
    "rejected_at_policy",
    "rejected_at_content_guard",
    "rate_limited",
    "budget_exhausted",
]
VERDICTS = ["pass", "fail", "softfail", "neutral", "temperror", "permerror", "none"]

# The table of the document, in its order.
AUDIT_ENTRY = [
    "id",
    "message_id",
    "thread_id",
    "sender_address",
    "recipient_address",
    "received_at",
    "outcome",
    "reason",
    "verification_dkim",
    "verification_spf",
    "verification_dmarc",
    "from_alignment",
    "body_hash",
    "capabilities_granted",
    "tools_used",
    "tokens_consumed",
    "reply_sent",
]


@BASES
def test_reconstruct(world, documented_entry, base):
    mailbox = world.new_mailbox(f"threads{len(base)}@acmecorp.com")
    items = [
        {
            "message_id": f"m{n}",
            "thread_id": "T1" if n % 2 else "T2",
            "outcome": "delivered",
            # The oldest comes last, so that the order is reconstruct's doing.
            "received_at": 1_700_000_000 - n,
        }
        for n in range(900)
    ]
    world.server.post(f"/v1/mailboxes/{mailbox}/audit-logs", world.key, {"items": items})
    entries = sdk(world, lambda client: reconstruct(client, mailbox, "T1"), base)
    assert [entry.message_id for entry in entries] == [f"m{n}" for n in range(899, 0, -2)]
    assert sdk(world, lambda client: reconstruct(client, mailbox, "T3"), base) == []


def test_reconstruct_with_inserts_between_pages(world, documented_entry, monkeypatch):
    mailbox = world.new_mailbox("moving@acmecorp.com")
    entry = {"thread_id": "T1", "outcome": "delivered"}
    items = [entry | {"message_id": f"m{n}", "received_at": 1_700_000_000 + n} for n in range(450)]
    world.server.post(f"/v1/mailboxes/{mailbox}/audit-logs", world.key, {"items": items})
    pages = []

    async def work(client):
        ask = client.get_audit_log

        async def get_audit_log(*positional, **named):
            world.record(mailbox, **entry, message_id=f"later{len(pages)}")
            pages.append(await ask(*positional, **named))
            return pages[-1]

        monkeypatch.setattr(client, "get_audit_log", get_audit_log)
        return await reconstruct(client, mailbox, "T1")

    entries = sdk(world, work)
    # Cursors: what comes in between pages neither doubles nor hides anything.
    assert [e.message_id for e in entries] == [f"m{n}" for n in range(450)] + ["later0"]
    assert [len(page.items) for page in pages] == [200, 200, 51]
    assert [page.next_cursor for page in pages] == [pages[0].items[-1].id, pages[1].items[-1].id, None]


def test_get_audit_log_with_every_parameter(world, documented_entry):
    mailbox = world.new_mailbox("parameters@acmecorp.com")
    made = {}
    for thread in ("T1", "T2"):
        for outcome in OUTCOMES:
            for n in range(2):
                id = f"{thread}.{outcome}.{n}"
                made[id] = world.record(mailbox, message_id=id, thread_id=thread, outcome=outcome)

    async def work(client):
        def get(**parameters):
            return client.get_audit_log(mailbox, **parameters)

        newest_first = [*made][::-1]
        page = await get()
        assert ([e.message_id for e in page.items], page.next_cursor) == (newest_first, None)
        page = await get(message_id="T1.delivered.1")
        assert [e.id for e in page.items] == [made["T1.delivered.1"]["id"]]
        page = await get(thread_id="T2")
        assert [e.message_id for e in page.items] == newest_first[:12]
        page = await get(thread_id="T2", outcome="rate_limited")
        assert [e.message_id for e in page.items] == ["T2.rate_limited.1", "T2.rate_limited.0"]
        for outcome in OUTCOMES:
            page = await get(outcome=outcome)
            assert [e.outcome for e in page.items] == [outcome] * 4
        # The last page is full, and still the end.
        page = await get(limit=23)
        assert ([e.message_id for e in page.items], page.next_cursor) == (newest_first[:23], page.items[-1].id)
        page = await get(limit=23, cursor=page.next_cursor)
        assert ([e.message_id for e in page.items], page.next_cursor) == (newest_first[23:], None)
        page = await get(limit=24)
        assert (len(page.items), page.next_cursor) == (24, None)
        # Clamped to [1, 200].
        assert len((await get(limit=0)).items) == 1
        assert len((await get(limit=100_000)).items) == 24
        page = await get(message_id="T1.delivered.1", thread_id="T1", outcome="delivered", limit=1, cursor=10**9)
        assert [e.message_id for e in page.items] == ["T1.delivered.1"]
        page = await get(cursor=page.items[0].id, message_id="T1.delivered.1")
        assert (page.items, page.next_cursor) == ([], None)

    sdk(world, work)


def test_audit_page_of_everything(world, documented_entry):
    mailbox = world.new_mailbox("everything@acmecorp.com")
    for n, verdict in enumerate(VERDICTS):
        outcome = OUTCOMES[n % len(OUTCOMES)]
        world.record(
            mailbox,
            message_id=f"m{n}",
            thread_id="T",
            sender_address="a@example.org",
            recipient_address="b@example.org",
            received_at=1_700_000_000 + n,
            outcome=outcome,
            reason="said so",
            verification_dkim=verdict,
            verification_spf=VERDICTS[n - 1],
            verification_dmarc=VERDICTS[n - 2],
            from_alignment=n % 2 == 0,
            capabilities_granted={"capabilities": ["read_calendar"], "rule_index": 0} if n == 0 else None,
            tools_used=["search"],
            tokens_consumed={"input": 5},
            reply_sent={"id": "r1"},
        )
    world.record(mailbox, message_id="bare", outcome="delivered", received_at=1_700_000_100)

    page = sdk(world, lambda client: client.get_audit_log(mailbox))
    bare, *full = page.items
    assert bare.model_dump(exclude={"id", "message_id", "received_at", "recipient_address"}, exclude_none=True) == {
        "outcome": "delivered"
    }
    assert bare.recipient_address == "everything@acmecorp.com"
    for n, entry in enumerate(reversed(full)):
        expected = {
            "message_id": f"m{n}",
            "thread_id": "T",
            "sender_address": "a@example.org",
            "recipient_address": "b@example.org",
            "received_at": 1_700_000_000 + n,
            "outcome": OUTCOMES[n % len(OUTCOMES)],
            "reason": "said so",
            "verification_dkim": VERDICTS[n],
            "verification_spf": VERDICTS[n - 1],
            "verification_dmarc": VERDICTS[n - 2],
            "from_alignment": n % 2 == 0,
            "body_hash": None,
            "capabilities_granted": {"capabilities": ["read_calendar"], "rule_index": 0} if n == 0 else None,
            "tools_used": ["search"],
            "tokens_consumed": {"input": 5},
            "reply_sent": {"id": "r1"},
        }
        assert entry.model_dump(exclude={"id"}) == expected
    raw = world.server.get(f"/v1/mailboxes/{mailbox}/audit-logs", world.key).json()
    assert list(raw) == ["items", "next_cursor"]
    assert [list(item)[: len(AUDIT_ENTRY)] for item in raw["items"]] == [AUDIT_ENTRY] * 8


def test_sdk_as_published(world):
    mailbox = world.new_mailbox("published@acmecorp.com")
    page = sdk(world, lambda client: client.get_audit_log(mailbox))
    assert (page.items, page.next_cursor) == ([], None)
    world.record(mailbox, message_id="m", outcome="delivered")
    with pytest.raises(pydantic.ValidationError) as refused:
        sdk(world, lambda client: client.get_audit_log(mailbox))
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [(("received_at",), "string_type")]


def test_sdk_as_published_under_its_own_base_url(world):
    """Unmodified: only the base URL is another."""
    base = "/sdk/mailbuttons-0.1"
    mailbox = world.new_mailbox("unmodified@acmecorp.com")
    for n in range(7):
        outcome = "delivered" if n % 2 else "rate_limited"
        world.record(mailbox, message_id=f"m{n}", outcome=outcome, thread_id="t", received_at=1_700_000_000 + n)
    page = sdk(world, lambda client: client.get_audit_log(mailbox, limit=3), base)
    assert [entry.message_id for entry in page.items] == ["m6", "m5", "m4"]
    assert page.items[0].received_at == "2023-11-14T22:13:26Z"
    assert page.next_cursor == page.items[-1].id
    found = sdk(world, lambda client: reconstruct(client, mailbox, "t"), base)
    assert [entry.message_id for entry in found] == [f"m{n}" for n in range(7)]
    limited = sdk(world, lambda client: client.get_audit_log(mailbox, outcome="rate_limited"), base + "/")
    assert [entry.message_id for entry in limited.items] == ["m6", "m4", "m2", "m0"]
    one = sdk(world, lambda client: client.get_audit_log(mailbox, message_id="m3"), base)
    assert [entry.outcome for entry in one.items] == ["delivered"]
    with pytest.raises(NotFoundError):
        sdk(world, lambda client: client.get_audit_log(987_654), base)
    with pytest.raises(ValidationError):
        sdk(world, lambda client: client.get_audit_log(mailbox, outcome="lost"), base)
    with pytest.raises(AuthError):
        sdk(world, lambda client: client.get_audit_log(mailbox), base, key="mt_live_" + "0" * 48)
    put = sdk(world, lambda client: client.set_policy(mailbox, a_policy(retention_days=30)), base)
    assert sdk(world, lambda client: client.get_policy(mailbox), base) == put


def a_policy(**audit_log):
    return MailPolicy(
        default_action="bounce",
        senders=[
            SenderRule(
                match=SenderMatch(domain="example.org", require_dkim=True),
                capabilities=["read_calendar", "fly"],
                rate_limit=RateLimit(per_hour=10, per_day=20),
                token_budget=TokenBudget(per_thread=1000, per_day=5000),
            ),
            SenderRule(match=SenderMatch(address="ada@example.net", require_spf=True), capabilities=[]),
        ],
        content_guards=[ContentGuard(reject="(?i)ignore previous instructions", reason="prompt_injection_suspected")],
        audit_log=AuditConfig(**audit_log),
    )


@BASES
def test_policy(world, base):
    mailbox = world.new_mailbox(f"policy{len(base)}@acmecorp.com")
    assert sdk(world, lambda client: client.get_policy(mailbox), base) is None
    policy = a_policy(retention_days=90, include_body_hash=True)
    put = sdk(world, lambda client: client.set_policy(mailbox, policy), base)
    assert (put.mailbox_id, put.version, put.warnings) == (mailbox, 1, ["unknown_capability:fly"])
    assert put.policy == policy
    assert sdk(world, lambda client: client.get_policy(mailbox), base) == put
    put = sdk(world, lambda client: client.set_policy(mailbox, a_policy(retention_days=30)), base)
    assert (put.version, put.policy.audit_log) == (2, AuditConfig(retention_days=30))


def test_error_mapping(world, documented_entry):
    mailbox = world.new_mailbox("errors@acmecorp.com")
    foreign_key = world.new_workspace("Foreign")
    reads = ["key", "create", "--name", "reads", "--scope", "messages:read"]
    read_only = world.directory.json("--workspace", world.directory.made["workspace_id"], *reads)["key"]

    def refusal(kind, work, **more):
        with pytest.raises(mailbuttons.MailbuttonsError) as refused:
            sdk(world, work, **more)
        assert type(refused.value) is kind
        return refused.value

    for key in ["nonsense", "mt_live_" + "0" * 48]:
        error = refusal(AuthError, lambda client: client.get_audit_log(mailbox), key=key)
        assert (error.code, error.status) == ("auth", 401)
        assert json.loads(error.response_body) == {"error": "Invalid API key"}
    # A key that may read may not put a policy.
    error = refusal(AuthError, lambda c: c.set_policy(mailbox, a_policy(retention_days=1)), key=read_only)
    assert (error.status, [*json.loads(error.response_body)]) == (403, ["error"])

    missing = {"error": "Mailbox not found"}
    for id, key in [(10**6, None), (mailbox, foreign_key)]:
        error = refusal(NotFoundError, lambda client: client.get_audit_log(id), key=key)
        assert (error.code, error.status, json.loads(error.response_body)) == ("not_found", 404, missing)
        error = refusal(NotFoundError, lambda client: client.set_policy(id, a_policy(retention_days=1)))
        assert json.loads(error.response_body) == missing
        break
    # The SDK takes any 404 of the policy for "none is set".
    assert sdk(world, lambda client: client.get_policy(10**6)) is None

    error = refusal(ValidationError, lambda c: c.set_policy(mailbox, a_policy(retention_days=0)))
    assert (error.code, error.field_errors) == ("validation", ["auditLog.retentionDays must be >= 1"])
    guarded = a_policy(retention_days=1)
    guarded.content_guards.append(ContentGuard(reject="(?=look)ahead", reason="x"))
    error = refusal(ValidationError, lambda c: c.set_policy(mailbox, guarded))
    assert [text.split()[0] for text in error.field_errors] == ["contentGuards[1].reject:"]
    error = refusal(ValidationError, lambda c: c.get_audit_log(mailbox, outcome="lost"))
    assert [text.split(":")[0] for text in error.field_errors] == ["outcome"]
    answer = world.server.get(f"/v1/mailboxes/{mailbox}/audit-logs?outcome=lost", world.key, status=422)
    assert list(answer.json()) == ["errors"]

    async def nobody_there():
        async with Mailbuttons(world.key, base_url="http://127.0.0.1:1") as client:
            await client.get_audit_log(mailbox)

    with pytest.raises(NetworkError):
        asyncio.run(nobody_there())


# The document's snippets, between what they need: a client, a mailbox, the captured body.
HEAD = """
import { Mailbuttons } from "MODULE";
const client = new Mailbuttons({ apiKey: process.argv[2], baseUrl: process.argv[3] });
const MAILBOX_ID = Number(process.argv[4]), capturedBody = process.argv[5];
"""
LAST_24_HOURS = """
const cutoff = Math.floor(Date.now() / 1000) - 24 * 3600;
const page = await client.getAuditLog(MAILBOX_ID, {
  outcome: "rejected_at_policy",
  limit: 200,
});
const recent = page.items.filter((e) => e.receivedAt >= cutoff);
"""
VERIFY_A_HASH = """
import { createHash } from "node:crypto";
const expected = createHash("sha256").update(capturedBody).digest("hex");
const page = await client.getAuditLog(MAILBOX_ID, { messageId: "abc-123" });
const entry = page.items[0];
if (entry?.bodyHash !== expected) {
  throw new Error("Body does not match audit-log hash");
}
"""


def javascript(world, snippet, mailbox, *arguments, exit_code=0, base="/api"):
    module = HEAD.replace("MODULE", (HERE / "mailbuttons.mjs").as_uri()) + snippet
    return node(module, world.key, world.url + base, mailbox, *arguments, exit_code=exit_code)


@BASES
def test_last_24_hours_of_rejections(world, base):
    mailbox = world.new_mailbox(f"rejections{len(base)}@acmecorp.com")
    now = int(time.time())
    for n, (hours, outcome) in enumerate([(30, 2), (25, 2), (23, 2), (22, 0), (2, 2), (1, 3), (0, 2)]):
        world.record(mailbox, message_id=f"m{n}", outcome=OUTCOMES[outcome], received_at=now - hours * 3600)
    more = "\nconsole.log(JSON.stringify(recent.map((e) => e.messageId)));\n"
    out, _ = javascript(world, LAST_24_HOURS + more, mailbox, "", base=base)
    assert json.loads(out) == ["m6", "m4", "m2"]


def hashing_mailbox(world, address):
    mailbox = world.new_mailbox(address)
    sdk(world, lambda client: client.set_policy(mailbox, a_policy(retention_days=36500, include_body_hash=True)))
    return mailbox


def test_verify_a_body_hash(world):
    mailbox = hashing_mailbox(world, "hashes@acmecorp.com")
    body = "Grüße,\r\nwas the invoice paid?\n\n— Ada 👩‍💻\n"
    world.record(mailbox, message_id="abc-123", outcome="delivered", text_body=body)
    assert javascript(world, VERIFY_A_HASH, mailbox, body) == ("", "")
    _, err = javascript(world, VERIFY_A_HASH, mailbox, body.rstrip(), exit_code=1)
    assert "Error: Body does not match audit-log hash" in err


def test_verify_the_hash_of_a_raw_message(world):
    mailbox = hashing_mailbox(world, "raw@acmecorp.com")
    # Quoted-printable in ISO-8859-1: the body as JMAP gives it is neither its bytes nor its encoding.
    raw = (
        b"Message-ID: <abc-123@example.org>\r\nFrom: ada@example.org\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Gr=FC=DFe,=\r\n was the invoice paid?\r\n"
    )
    headers = {"Content-Type": "message/rfc822"}
    path = f"/v1/mailboxes/{mailbox}/audit-logs"
    entry = world.server.request("POST", path, world.key, content=raw, headers=headers).json()
    assert entry["message_hash"] == hashlib.sha256(raw).hexdigest()
    snippet = VERIFY_A_HASH.replace("abc-123", entry["message_id"])
    assert javascript(world, snippet, mailbox, "Grüße, was the invoice paid?\n") == ("", "")


def test_no_body_hash_without_the_policy(world):
    mailbox = world.new_mailbox("nohash@acmecorp.com")
    entry = world.record(mailbox, message_id="abc-123", outcome="delivered", text_body="body")
    assert entry["body_hash"] is None
    _, err = javascript(world, VERIFY_A_HASH, mailbox, "body", exit_code=1)
    assert "Error: Body does not match audit-log hash" in err


# ---------------------------------------------------------------------------------------------- SendDock

LAST_50 = '''
# Last 50 entries
curl "$YOUR_BASE_URL/api/v1/projects/$YOUR_PROJECT_ID/audit-log" \\
  -b cookies.txt
'''
SMTP_CHANGES = '''
# Just SMTP changes in the last 7 days
curl -G "$YOUR_BASE_URL/api/v1/projects/$YOUR_PROJECT_ID/audit-log" \\
  -b cookies.txt \\
  --data-urlencode "action=smtp.update" \\
  --data-urlencode "from=$(date -u -d '7 days ago' +%Y-%m-%dT%H:%M:%SZ)"
'''
LOGIN = '''
curl -s "$YOUR_BASE_URL/api/v1/auth/login" -c cookies.txt -H 'Content-Type: application/json' \\
  -d "$(printf '{"email":"%s","password":"%s"}' "$EMAIL" "$PASSWORD")"
'''
ACTIVITY = [
    "id",
    "user_id",
    "action",
    "target_type",
    "target_id",
    "metadata",
    "ip_address",
    "user_agent",
    "created_at",
]


def smtp_update(**more):
    return {
        "user_id": USER,
        "action": "smtp.update",
        "target_type": "project",
        "metadata": {
            "smtp_host": "smtp.mailgun.org",
            "smtp_user": "postmaster@acme.com",
            "from_email": "hello@acme.com",
        },
        "ip_address": "203.0.113.42",
        "user_agent": "Mozilla/5.0 ...",
    } | more


def days_ago(days):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_senddock_curl_lines(world, tmp_path):
    project = world.new("project", "--name", "Acme")
    example = smtp_update(target_id=project, created_at="2026-04-30T14:22:11Z")
    entries = [
        example,
        smtp_update(created_at=days_ago(8)),
        {"user_id": USER, "action": "webhook.create", "metadata": {"url": "https://acme.com"}, "created_at": days_ago(6)},
        smtp_update(created_at=days_ago(6)),
        *(
            {"user_id": USER, "action": "suppression.add", "created_at": days_ago(5), "metadata": {"added": n}}
            for n in range(60)
        ),
        smtp_update(created_at=days_ago(1)),
    ]
    made = world.server.post(f"/api/v1/projects/{project}/audit-log", world.key, {"entries": entries}).json()["entries"]
    by_time = sorted(reversed(made), key=lambda entry: entry["created_at"], reverse=True)

    env = {"YOUR_BASE_URL": world.url, "YOUR_PROJECT_ID": project, "EMAIL": OWNER, "PASSWORD": PASSWORD}
    me = json.loads(bash(LOGIN, env, tmp_path))
    assert (me["user_id"], me["email"]) == (world.directory.made["user_id"], OWNER)
    page = json.loads(bash(LAST_50, env, tmp_path))
    assert list(page) == ["entries", "total"]
    # The newest is mailtrail's own: who made the project.
    assert (page["entries"][0]["action"], page["total"]) == ("project.create", 66)
    assert page["entries"][1:] == by_time[:49]
    for entry in page["entries"]:
        assert list(entry)[: len(ACTIVITY)] == ACTIVITY
    changes = json.loads(bash(SMTP_CHANGES, env, tmp_path))
    assert changes == {"entries": [made[-1], made[3]], "total": 2}
    # The document's example, as it was given.
    stored = made[0]
    assert re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", stored["id"])
    assert {name: stored[name] for name in ACTIVITY[1:]} == example


def test_numbers_are_kept_to_the_last_bit(world):
    # In the tests in Rust serde_json may have been built otherwise.
    given = [31.245270191439438, 51.248178375505404, 1.7976931348623157e308, 5e-324, 9007199254740993, -0.5]
    entry = {"user_id": USER, "action": "smtp.update", "metadata": {"numbers": given}}
    made = world.server.post(f"/api/v1/projects/{world.project}/audit-log", world.key, entry).json()
    assert made["metadata"] == {"numbers": given}


def test_senddock_refusals_in_order(tmp_path):
    directory = Directory(tmp_path)
    project = directory.json("project", "create", "--name", "Acme")["id"]
    other = directory.json("workspace", "create", "--name", "Other")["id"]
    stranger = "grace@example.org"
    directory.run(
        "--workspace", other, "user", "create", "--email", stranger, "--role", "owner", "--password-stdin",
        stdin=PASSWORD,
    )
    log = f"/api/v1/projects/{project}/audit-log"
    missing = f"/api/v1/projects/{USER}/audit-log"

    def sees(server, email, path):
        login = {"email": email, "password": PASSWORD}
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            assert client.post("/api/v1/auth/login", json=login).status_code == 200
            answer = client.get(path)
        if answer.status_code != 200:
            assert list(answer.json()) == ["error"]
        return answer.status_code

    with directory.serving() as server:
        assert server.get(log, status=401).json().keys() == {"error"}
        # The vendor's page: not readable by API key.
        server.get(log, directory.key, status=401)
        assert [sees(server, OWNER, path) for path in (log, missing)] == [200, 404]
        assert [sees(server, stranger, path) for path in (log, missing)] == [403, 404]
    with directory.serving("--no-license") as server:
        server.get(log, status=401)
        assert [sees(server, OWNER, path) for path in (log, missing)] == [402, 402]
        assert sees(server, stranger, log) == 402
    env = {"SENDDOCK_LICENSE_KEY": directory.made["license_key"]}
    (directory.data / "license.key").unlink()
    with directory.serving() as server:
        assert sees(server, OWNER, log) == 402
    with directory.serving(env=env) as server:
        assert sees(server, OWNER, log) == 200


# ---------------------------------------------------------------------------------------------- the demo


def demo_curls(server):
    """The text up to Ctrl-C, and the curl lines in it."""
    text = server.first_line
    while "goes away with Ctrl-C" not in text:
        line = server.process.stdout.readline().decode()
        assert line, server.log.read_text()
        text += "\n" + line.rstrip("\n")
    return text, [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]


def test_demo(tmp_path):
    server = Server(["demo", "--listen", "127.0.0.1:0"], tmp_path / "demo.log", env={"TMPDIR": str(tmp_path)})
    try:
        text, lines = demo_curls(server)
        assert len(lines) == 3
        rows = []
        for line in lines:
            # As pasted, but for the status after the answer.
            pasted = bash(line)
            answer, status = bash(line + " -w '\\n%{http_code}'").rsplit("\n", 1)
            assert (status, answer) == ("200", pasted)
            envelope = json.loads(answer)
            rows.append(next(envelope[word] for word in ("events", "items", "entries") if word in envelope))
        assert [len(found) for found in rows] == [1, 5, 3]
        assert rows[0][0]["message"] == "Mailbox blocked: sent 26, limit 25"
        assert [row["action"] for row in rows[2]] == ["webhook.create", "smtp.update", "project.create"]
        assert [row["actor"] for row in rows[2]] == [f"{operator()} for {OWNER}"] * 2 + [operator()]
        # The demo gave it a password to keep.
        assert "never stored" not in json.dumps(rows)
        [data] = re.findall(r"Everything is in (\S+) and", text)
        assert pathlib.Path(data).is_dir()
    finally:
        server.stop()
    assert not pathlib.Path(data).exists()


def test_demo_json(tmp_path):
    server = Server(["demo", "--listen", "127.0.0.1:0", "--json"], tmp_path / "demo.log")
    try:
        shown = json.loads(server.first_line)
        server.url = shown["url"]
        key = shown["api_key"]
        page = server.get(f"/v1/mailboxes/{shown['mailbox_id']}/audit-logs?limit=200", key).json()
        outcomes = {item["outcome"] for item in page["items"]}
        assert (len(page["items"]), page["next_cursor"]) == (16, None)
        assert outcomes == {*OUTCOMES} - {"budget_exhausted"}
    finally:
        server.stop()
