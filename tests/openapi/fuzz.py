#!/usr/bin/env python3
"""Asks a running server everything its own description allows, and much that it forbids (Schemathesis).

    pip install -r tests/openapi/requirements.txt
    python3 tests/openapi/fuzz.py [SECONDS] [MORE ARGUMENTS OF `st run`]

The document is validated first. Then a new data directory is served, with a key of every scope, a session of an owner,
and some rows; half the time (of 60 seconds, or what is given) all ids are made up or learnt from answers, half of it
those in a path are the prepared ones, so that bodies and queries are looked at. For a release: 600 seconds.

A failure is an answer that the document does not declare (status, media type, headers, body), a 5xx, something
forbidden that was let in, something allowed that was refused, a route open to a caller it is not for. What a document
cannot say is in `hooks.py`, with the reason.

Nothing here is to end what the rest is asked with or about:
- `logOut` is left out: it ends the session, and takes nothing that could be wrong.
- What deletes, revokes or rotates, and a change of a user, meets what this run itself has made. Asked of the prepared
  workspace, key, user, tenant, mailbox or project it is asked of an id that there is not (`hooks.py`).
- `createBackup` writes a file each time, and a backup is asked for twenty times at most (`hooks.py`).
- Restoring is no route.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vendor"))

from support import OWNER, PASSWORD, USER, Directory  # noqa: E402, the path above leads there

# Refusals of what is allowed one by one: an id that there is not, a name that is taken, another body under an
# Idempotency-Key that was used, more bytes than a route takes.
REFUSED = ["2xx", "304", "404", "409", "413"]
# Of what is not allowed: also because it has too many bytes.
REJECTED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]

CONFIG = """
workers = 1
continue-on-failure = true
request-timeout = 30
warnings = false

[auth.openapi]
apiKey = {{ bearer = "{key}" }}
session = {{ api_key = "{session}" }}

[generation]
database = "none"
# Callers that are none are a check of their own (ignored_auth).
with-security-parameters = false

[phases.coverage]
# The others are no methods of any route, and a 501 (RFC 9110, 15.6.2).
unexpected-methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]

# What is deleted is only marked, since the trail outlives it: an ended key is still shown, a legal hold still taken off.
[checks.use_after_free]
enabled = false

# A key is of one workspace, and one that it makes is another; an answer to a repeated Idempotency-Key tells of what may
# be gone by now.
[checks.ensure_resource_availability]
enabled = false

[checks.positive_data_acceptance]
expected-statuses = {refused}

[checks.negative_data_rejection]
expected-statuses = {rejected}

[[operations]]
include-operation-id = "logOut"
enabled = false

# A right password is not to be guessed, and wrong ones are slowed.
[[operations]]
include-operation-id = "logIn"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "changePassword"
checks.positive_data_acceptance.enabled = false

# Of a thousand invitations with wrong passwords some are told to wait.
[[operations]]
include-operation-id = "acceptInvitation"
checks.positive_data_acceptance.enabled = false

# After some backups each is refused: see hooks.py.
[[operations]]
include-operation-id = "createBackup"
checks.positive_data_acceptance.enabled = false

# A name is taken wherever an id is, and something may be called 0.
[[operations]]
include-path-regex = "^/api/v1/admin/.*[{{]id[}}]"
checks.negative_data_rejection.enabled = false

# A key with `admin` can do what an admin can, not what an owner can: name one, end a workspace.
[[operations]]
include-tag = "administration"
checks.positive_data_acceptance.expected-statuses = {refused_to_admins}
"""

# With the prepared ids.
PINNED = """
[[operations]]
include-path-regex = "^/v1/mailboxes/"
parameters = {{ "path.mailbox_id" = {mailbox} }}

[[operations]]
include-path-regex = "^/v1/tenants/"
parameters = {{ "path.tenant_id" = "{tenant}", "path.mailbox_id" = {mailbox} }}

[[operations]]
include-path-regex = "^/api/v1/projects/"
parameters = {{ "path.id" = "{project}" }}

[[operations]]
include-path-regex = "^/api/v1/workspaces/"
parameters = {{ "path.id" = "{workspace}" }}

[[operations]]
include-path-regex = "^/api/v1/admin/tenants/"
parameters = {{ "path.id" = "{tenant}" }}

[[operations]]
include-path-regex = "^/api/v1/admin/mailboxes/"
parameters = {{ "path.id" = {mailbox} }}

[[operations]]
include-path-regex = "^/api/v1/admin/projects/"
parameters = {{ "path.id" = "{project}" }}
"""


def prepare(server, made):
    """Some rows in each log; what there is, by the names it has in CONFIG."""
    key = made["api_key"]
    tenant = server.post("/v1/tenants", key, {"tenant_name": "Acme"}).json()["id"]
    mailboxes = f"/v1/tenants/{tenant}/mailboxes"
    mailbox = server.post(mailboxes, key, {"primary_smtp": "sales@mail.acmecorp.com", "daily_send_limit": 25})
    mailbox = mailbox.json()["id"]
    project = server.post("/api/v1/admin/projects", key, {"name": "Newsletter"}).json()["id"]
    event = {"tenant_id": tenant, "mailbox_address": "sales@mail.acmecorp.com", "sent_count": 26, "limit_value": 25}
    events = [{**event, "action_taken": action} for action in ["blocked", "unblocked"] * 30]
    server.post("/v1/enforcement/events", key, {"events": events})
    entries = [{"message_id": f"abc-{n}", "outcome": "delivered"} for n in range(60)]
    server.post(f"/v1/mailboxes/{mailbox}/audit-logs", key, {"items": entries})
    activities = [{"user_id": USER, "action": "smtp.update"}] * 60
    server.post(f"/api/v1/projects/{project}/audit-log", key, {"entries": activities})
    policy = {"defaultAction": "bounce", "senders": [], "auditLog": {"retentionDays": 3650}}
    server.request("PUT", f"/v1/mailboxes/{mailbox}/policy", key, json=policy)
    login = server.post("/api/v1/auth/login", body={"email": OWNER, "password": PASSWORD})
    keys = server.get("/api/v1/admin/keys", key).json()["keys"]
    return {
        "key": key,
        "session": login.cookies["mailtrail_session"],
        "tenant": tenant,
        "mailbox": mailbox,
        "project": project,
        "workspace": made["workspace_id"],
        "user": made["user_id"],
        "key_id": keys[0]["id"],
    }


def fuzz(server, place, prepared, config, arguments):
    """One run; whether all was well."""
    (place / "schemathesis.toml").write_text(config.format(refused=REFUSED, rejected=REJECTED, refused_to_admins=[*REFUSED, "403"], **prepared))
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "MAILTRAIL_PREPARED": json.dumps(prepared),
        "MAILTRAIL_STATUSES": str(place / "statuses.json"),
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", place / "schemathesis.toml", "run"]
    command += [f"{server.url}/openapi.json", "--url", server.url, "--no-color", *arguments]
    done = subprocess.run(list(map(str, command)), env=environment, cwd=place)
    statuses = json.loads((place / "statuses.json").read_text())
    answers = ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items()))
    print(f"{sum(statuses.values())} answers; {answers}", flush=True)
    # Else it was not asked much: everybody was told to wait.
    limited = statuses.get("429", 0) + statuses.get("503", 0)
    few = limited * 20 > sum(statuses.values())
    if few:
        print("more than one answer in twenty is a 429 or 503", file=sys.stderr)
    return done.returncode == 0 and not few


def validate(document):
    """Whether it is an OpenAPI document at all."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    errors = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    print("\n".join(errors) or f"a valid OpenAPI {document['openapi']} document, {len(document['paths'])} paths", flush=True)
    return not errors


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        directory = Directory(place, ["log=warn"])
        with directory.serving() as server:
            well = validate(server.get("/openapi.json").json())
            prepared = prepare(server, directory.made)
            for config, phases in [(CONFIG, "coverage,fuzzing,stateful"), (CONFIG + PINNED, "examples,coverage,fuzzing")]:
                arguments = ["--max-time", str(max(1, seconds // 2)), "--phases", phases, *sys.argv[2:]]
                well &= fuzz(server, place, prepared, config, arguments)
        log = directory.log.read_text()
        print(log, end="")
    sys.exit(0 if well and "ERROR" not in log else 1)


if __name__ == "__main__":
    main()
