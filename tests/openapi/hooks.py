"""What the document cannot say, for Schemathesis (`fuzz.py` runs it).

Formats and media types of our own; rules that hold between two members, or between a member and the clock; and what
must not happen to the rows that everything else is asked about.
"""

import atexit
import collections
import datetime
import hashlib
import json
import os
import pathlib
import re
import unicodedata
import uuid

import schemathesis
from hypothesis import strategies as st

PREPARED = json.loads(os.environ["MAILTRAIL_PREPARED"])
PROTECTED = {str(PREPARED[name]) for name in ["key_id", "user", "workspace", "tenant", "mailbox", "project"]}
MAIL = sorted((pathlib.Path(__file__).resolve().parents[1] / "mail").glob("*.eml"))
STATUSES = collections.Counter()
BACKUPS = 20

# The years that are accepted, whatever the offset.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(
        datetime.datetime(1970, 1, 2),
        datetime.datetime(9999, 12, 30),
        timezones=st.builds(datetime.timezone, st.builds(datetime.timedelta, minutes=st.integers(-1439, 1439))),
    ).map(datetime.datetime.isoformat),
)
# Of those that run in linear time.
schemathesis.openapi.format("linear-regex", st.from_regex(r"\A(\(\?i\))?[a-z0-9 ]{1,20}(\|[a-z][a-z.*+0-9 ]{0,20})?\Z"))


# A message as it arrived, or its head.
RAW = ["message/rfc822", "message/global", "text/rfc822-headers"]


@schemathesis.serializer("message/rfc822", "message/global", "text/rfc822-headers")
def to_bytes(context, value):
    # Whatever is no text would be one on the wire.
    return value.encode() if isinstance(value, str) else b""


@schemathesis.serializer("application/x-ndjson")
def to_lines(context, value):
    """An object a line."""
    lines = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in lines).encode()


@schemathesis.deserializer("application/x-ndjson")
def from_lines(context, response):
    return [json.loads(line) for line in response.content.splitlines() if line.strip()]


def is_time(value):
    try:
        return isinstance(value, str) and datetime.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def settle(value):
    """An object as it may be today: nothing before its time or after it, no two members that contradict each other."""
    if isinstance(value, list):
        for item in value:
            settle(item)
    if not isinstance(value, dict):
        return
    now = datetime.datetime.now(datetime.UTC)
    if is_time(value.get("created_at")) and datetime.datetime.fromisoformat(value["created_at"]) > now:
        value["created_at"] = "2025-04-20T14:30:00Z"
    if is_time(value.get("expires_at")) and datetime.datetime.fromisoformat(value["expires_at"]) < now:
        value["expires_at"] = "9999-01-01T00:00:00Z"
    received_at = value.get("received_at")
    if is_time(received_at) and datetime.datetime.fromisoformat(received_at) > now:
        value["received_at"] = "2025-04-20T14:30:00Z"
    if type(received_at) in (int, float) and now.timestamp() < received_at <= 253402300799:
        value["received_at"] = 1777558931
    if isinstance(value.get("text_body"), str) and isinstance(value.get("body_hash"), str):
        del value["text_body"]
    if value.get("outcome") != "delivered" and isinstance(value.get("capabilities_granted"), dict):
        value["capabilities_granted"] = None
    for name in ["events", "items", "entries"]:
        settle(value.get(name))
    for name, member in value.items():
        # Which characters look like others, or like nothing, no schema says.
        if name in ADDRESSES and isinstance(member, str) and misleads(member):
            value[name] = "nobody@example.net"
        if name in NAMES and isinstance(member, str) and hides(member):
            value[name] = "Nobody"
    for member in [*(value.get("senders") or []), value.get("match")] if isinstance(value.get("senders") or [], list) else []:
        settle(member)


def exact(value):
    """Takes integers past 64 bits out, which are refused wherever they stand: a schema of any JSON does not say so."""
    for key, member in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        if type(member) is int and not -(2**63) <= member < 2**64:
            value[key] = 2**63
        elif isinstance(member, (dict, list)):
            exact(member)


ADDRESSES = ["address", "primary_smtp", "mailbox_address", "email"]
NAMES = ["name", "tenant_name", "display_name", "holder"]


def misleads(text):
    unseen = any(unicodedata.category(sign) in ["Cf", "Zs", "Zl", "Zp"] for sign in text)
    return unseen or unicodedata.normalize("NFKC", text) != unicodedata.normalize("NFC", text)


def hides(name):
    """Whether a name may hold what cannot be seen: marks and what is not assigned are left out with it."""
    kinds = ["Cf", "Cn", "Mn", "Zs", "Zl", "Zp"]
    return any(sign != " " and (unicodedata.category(sign) in kinds or sign in "\u115f\u1160\u3164\uffa0") for sign in name)


def use_prepared(operation, value):
    """A tenant that there is: of made-up ones there is no end of 404."""
    if isinstance(value, list):
        for item in value:
            use_prepared(operation, item)
    if isinstance(value, dict):
        if operation in ["recordEnforcementEvents", "decideSend"] and is_uuid(value.get("tenant_id")):
            value["tenant_id"] = PREPARED["tenant"]
        use_prepared(operation, value.get("events"))


def is_uuid(value):
    try:
        return isinstance(value, str) and len(value) == 36 and bool(uuid.UUID(value))
    except ValueError:
        return False


def as_message(text):
    """A text as somebody's message, or as one of those that others have sent."""
    at = len(text) % (len(MAIL) + 20)
    return MAIL[at].read_text(errors="replace") if at < len(MAIL) else f"Message-ID: <{uuid.uuid4()}>\r\n\r\n{text}"


def is_key(value):
    """A key that is acceptable; each is made another, since nearly all would be short and used already."""
    return isinstance(value, str) and re.fullmatch("[!-~]([ -~]{0,253}[!-~])?", value)


def is_name(value):
    return isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", value)


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = case.operation.definition.raw["operationId"]
    settle(case.body)
    if isinstance(case.body, (dict, list)):
        exact(case.body)
    use_prepared(operation, case.body)
    path, query = case.path_parameters or {}, case.query or {}
    # A stream is the whole; a cursor is a place of its own.
    if query.get("format") in ["csv", "ndjson", "proof"]:
        for name in ["limit", "offset", "cursor"]:
            query.pop(name, None)
    if "offset" in query:
        query.pop("cursor", None)
    # Following has an order of its own. What is wrong with any of them stays.
    others = {"from", "to", "order", "offset", "cursor"} & query.keys() or query.get("format", "json") != "json"
    if others and str(query.get("after")).isdigit():
        del query["after"]
    if operation == "showConsistency" and {"old", "size"} <= query.keys():
        # Which trees there are no schema says.
        query.update({name: 1 for name in ["old", "size"] if str(query[name]).isdigit() and int(query[name]) > 0})
    if operation == "decideInbound" and case.media_type == "application/json" and isinstance(case.body, dict):
        # Required where the policy has content guards.
        case.body["text_body"] = case.body.get("text_body", "Lunch?") or "Lunch?"
    if operation == "createUser" and isinstance(case.body, dict) and isinstance(case.body.get("password"), str):
        # For the operator alone.
        del case.body["password"]
    if operation == "acceptInvitation" and isinstance(case.body, dict):
        # Another one than the present.
        if case.body.get("new_password") == case.body.get("password"):
            case.body.pop("new_password", None)
    if operation == "erasePerson" and isinstance(case.body, dict) and isinstance(case.body.get("address"), str):
        # Something has to be left of both parts once they are in one form: no schema says of which signs that is so.
        parts = re.fullmatch(r"([^ \0-\x1f\x7f-\x9f]+)@([^ @\0-\x1f\x7f-\x9f]+)", case.body["address"])
        if parts and not all(any(map(str.isalnum, part)) for part in parts.groups()):
            case.body["address"] = "nobody@example.net"
    parameters = case.operation.definition.raw.get("parameters", [])
    if any(parameter.get("$ref", "").endswith("/OwnersCursor") for parameter in parameters):
        # Which owners there are no schema says.
        if is_uuid(query.get("cursor")) or str(query.get("cursor")).isdigit():
            del query["cursor"]
    if case.media_type in RAW and isinstance(case.body, str):
        case.body = as_message(case.body)
    if case.media_type == "text/rfc822-headers":
        query["message_hash"] = query.get("message_hash", hashlib.sha256(str(case.body).encode()).hexdigest())
        case.query = query
    elif operation in ["recordMessageEntries", "decideInbound"]:
        query.pop("message_hash", None)
    if is_key(case.headers.get("Idempotency-Key")):
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}{uuid.uuid4()}"
    if operation == "updateUser" and isinstance(case.body, dict) and isinstance(case.body.get("password"), str):
        # Refused beside a password, which no schema can say.
        case.headers.pop("Idempotency-Key", None)
    # Of a raw message alone.
    if operation == "recordMessageEntries" and case.media_type not in RAW:
        for name in ["outcome", "reason"]:
            query.pop(name, None)
    elif operation == "recordMessageEntries":
        # Of entries alone.
        query.pop("import", None)
    ends = case.method.upper() == "DELETE" or operation in ["rotateKey", "updateUser"]
    if ends and str(path.get("id")) in PROTECTED:
        path["id"] = str(uuid.uuid4()) if is_uuid(path["id"]) else 987654
    if operation == "createBackup" and isinstance(case.body, dict) and STATUSES["backups"] >= BACKUPS:
        case.body["file"] = ".none"
    elif operation == "createBackup" and isinstance(case.body, dict) and is_name(case.body.get("file")):
        case.body["file"] = f"{uuid.uuid4()}.db"


@schemathesis.hook
def after_call(context, case, response):
    STATUSES[str(response.status_code)] += 1
    if case.operation.definition.raw["operationId"] == "createBackup" and response.status_code == 201:
        STATUSES["backups"] += 1


@atexit.register
def report():
    del STATUSES["backups"]
    pathlib.Path(os.environ["MAILTRAIL_STATUSES"]).write_text(json.dumps(STATUSES))
