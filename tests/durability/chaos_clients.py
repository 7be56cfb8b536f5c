"""The clients of chaos.py: each does one operation after another, chosen at random, and notes what came of it.

An answer that was lost leaves its rows unknown, unless the request named an Idempotency-Key, or repeats itself by its
nature: then it is sent again until there is an answer, also to another start of the server. Whatever a client alone
has (keys, people, holds, owners) it changes one after the other, so that it knows how they stand.
"""

import collections
import contextlib
import hashlib
import http.client
import json
import random
import socket
import threading
import time
import traceback
import urllib.parse

import chaos_model as model
import load

# How long rows are kept where no policy says otherwise, and how old the old ones are.
DAYS = 60
OLD = 100 * model.DAY
# What may be answered instead of doing it: limits, no room, on its way out.
BUSY = (429, 503, 507)
PLURALS = {"tenant": "tenants", "mailbox": "mailboxes", "project": "projects"}


class NotSent(Exception):
    """Nobody was there."""


class Lost(Exception):
    """It was sent, and there is no answer. `status` where its first line came."""

    def __init__(self, why, status=None):
        super().__init__(why)
        self.status = status


class Stop(Exception):
    """The harness ends."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Talk:
    """Requests to whatever start of the server there is, by TCP with a key or by its Unix socket as the operator."""

    def __init__(self, service, timeout=8):
        self.service, self.timeout = service, timeout
        self.kept = {}

    def ask(self, method, path, body=None, headers=None, key=None, timeout=None):
        """(status, headers, body). Without a `key` by the socket; an empty one is none, by TCP."""
        by = "unix" if key is None else "tcp"
        address, start = self.service.address, self.service.number
        if address is None:
            raise NotSent
        connection, of_start, used = self.kept.get(by, (None, None, 0))
        # One that nobody asks anything is closed by the server after a while.
        if of_start != start or time.monotonic() > used + 10:
            if connection:
                connection.close()
            connection = UnixConnection(self.service.socket) if key is None else http.client.HTTPConnection(address)
            connection.timeout = self.timeout
            try:
                connection.connect()
            except OSError:
                connection.close()
                self.kept.pop(by, None)
                time.sleep(0.02)
                raise NotSent from None
        self.kept[by] = connection, start, time.monotonic()
        headers = dict(headers or {})
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        status = None
        try:
            connection.sock.settimeout(timeout or self.timeout)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            status = answer.status
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.kept.pop(by, None)
            raise Lost(repr(error), status) from None
        if answer.will_close:
            connection.close()
            self.kept.pop(by, None)
        return status, answer.headers, data

    def close(self):
        for connection, *_ in self.kept.values():
            connection.close()
        self.kept = {}

    def pages(self, path, word, key=None, **parameters):
        """Every row of a list, page by page with its cursors."""
        rows = []
        query = parameters | {"limit": 200}
        while True:
            status, headers, data = self.ask("GET", f"{path}?{urllib.parse.urlencode(query)}", key=key, timeout=60)
            if status != 200:
                raise Lost(f"{path}: {status} {data[:200]}", status)
            page = json.loads(data)
            rows += page[word]
            link = headers.get("Link")
            following = page.get("next_cursor")
            if link:
                following = urllib.parse.parse_qs(urllib.parse.urlsplit(link[1 : link.index(">")]).query)["cursor"][0]
            if following is None:
                return rows
            query = parameters | {"limit": 200, "cursor": following}

    def pages_or_all(self, path, word):
        """A list of owners: whole, or by pages where it has them."""
        status, headers, data = self.ask("GET", path, timeout=60)
        if status != 200:
            raise Lost(f"{path}: {status} {data[:200]}", status)
        page = json.loads(data)
        if not headers.get("Link") and page.get("next_cursor") is None:
            return page[word]
        return self.pages(path, word)

    def stream(self, path, **parameters):
        """Every row of a list as it is exported; whole, or Lost."""
        query = urllib.parse.urlencode(parameters | {"format": "ndjson"})
        status, _, data = self.ask("GET", f"{path}?{query}", timeout=600)
        if status != 200:
            raise Lost(f"{path}: {status} {data[:200]}", status)
        return [json.loads(line) for line in data.split(b"\n") if line]


def written(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


class Client(threading.Thread):
    def __init__(self, world, number):
        super().__init__(name=f"client {number}")
        self.world, self.ledger, self.number = world, world.ledger, number
        self.dice = random.Random(f"{world.seed}-{number}")
        self.talk = Talk(world.service)
        self.n = 0
        self.keys, self.people, self.recent = [], [], collections.deque(maxlen=200)
        self.with_facts = collections.deque(maxlen=30)
        self.own = world.own_owners(number)
        self.holds = {kind: model.Hold(owner, self.own["mailbox"]) for kind, owner in self.own.items()}
        self.ledger.holds += self.holds.values()
        self.policy_version = [0, 0]
        self.mails = collections.deque(maxlen=20)

    # ------------------------------------------------------------------------------------------ the turn of things

    OPERATIONS = {
        "event": 8, "events": 7, "message": 5, "messages": 4, "raw": 4, "raw_by_command": 2, "again": 2, "fact": 6,
        "activity": 5, "activities": 5, "send": 12, "inbound": 6, "look": 8, "lists": 4, "hold": 4, "owner": 3,
        "key": 3, "dead_key": 2, "user": 0.4, "policy": 1.5, "imports": 1.2, "export": 1.2, "retention": 0.8,
        "erase": 1.2, "backup": 0.4, "pin": 1.5, "proof": 3, "renew": 0.1, "examine": 0.3,
    }

    def run(self):
        names, weights = zip(*self.OPERATIONS.items())
        try:
            while self.world.begin_turn():
                name = self.dice.choices(names, weights)[0]
                begun = time.monotonic()
                try:
                    getattr(self, name)()
                    self.world.tally[name, "done"] += 1
                except NotSent:
                    self.world.tally[name, "not sent"] += 1
                except Lost as lost:
                    self.world.tally[name, "lost"] += 1
                    if lost.status is not None and lost.status >= 400 and lost.status not in BUSY:
                        self.world.fail(f"{name}: {lost}")
                except Stop:
                    self.world.tally[name, "stopped"] += 1
                finally:
                    self.world.end_turn()
                self.world.longest[name] = max(self.world.longest[name], time.monotonic() - begun)
                time.sleep(self.dice.expovariate(1) * self.world.pause_of_clients)
        except Exception:
            self.world.fail(f"{self.name}: {traceback.format_exc()}")
        finally:
            self.talk.close()

    def mark(self):
        self.n += 1
        return f"c{self.number}n{self.n}"

    def key_of_mine(self):
        return self.dice.choice(self.keys)[1] if self.keys and self.dice.random() < 0.3 else self.world.key

    def by(self):
        """By TCP or by the socket."""
        return self.key_of_mine() if self.dice.random() < 0.7 else None

    def until_known(self, method, path, body=None, headers=None, key=None, most=90, timeout=None):
        """What repeats itself by its nature, or by its Idempotency-Key, until there is an answer. `lost`: whether an
        earlier one was."""
        end, lost = time.monotonic() + most, False
        while True:
            try:
                status, answer_headers, data = self.talk.ask(method, path, body, headers, key, timeout)
                if status not in BUSY:
                    return status, answer_headers, data, lost
            except NotSent:
                pass
            except Lost as no_answer:
                lost = True
                if no_answer.status is not None and no_answer.status < 300:
                    self.world.tally["answers", "cut off"] += 1
            if time.monotonic() > end:
                raise Lost("given up")
            time.sleep(0.05 + self.dice.random() * 0.2)

    def write(self, method, path, body, rows, repeats=False, headers=None, good=(200, 201)):
        """Sends rows and notes what became of them; the answer where there is one."""
        key = self.by()
        for row in rows:
            row.by = "operator" if key is None else "key "
        headers = dict(headers or {})
        self.ledger.add(rows, time.monotonic())
        has_key = self.dice.random() < 0.5
        if has_key:
            headers["Idempotency-Key"] = f"{self.world.seed}-{rows[0].mark if rows else self.mark()}"
        lost = False
        try:
            if (has_key or repeats) and self.dice.random() < 0.8:
                status, answered, data, lost = self.until_known(method, path, body, headers, key)
            else:
                status, answered, data = self.talk.ask(method, path, body, headers, key)
        except NotSent:
            self.settle(rows, model.REFUSED)
            raise
        except Lost as no_answer:
            if no_answer.status in (200, 201):
                self.settle(rows, model.ACKNOWLEDGED)
            raise
        if status in good:
            self.settle(rows, model.ACKNOWLEDGED)
            self.recent.extend(row for row in rows if row.person is None)
            return json.loads(data)
        if not lost:
            self.settle(rows, model.REFUSED)
        if status not in BUSY:
            self.world.fail(f"{method} {path}: {status} {data[:300]} for {str(body)[:300]}")
        raise Lost("refused", status)

    def settle(self, rows, state):
        self.ledger.settle(rows, state, time.monotonic(), self.holds.values())

    def command(self, *arguments, stdin=None, kill_after=None, timeout=300):
        """(exit code, standard output, standard error) of a command on the data directory; some are killed."""
        if kill_after is None and self.dice.random() < 0.1:
            kill_after = self.dice.random() * 0.5
        return self.world.command(*arguments, stdin=stdin, kill_after=kill_after, timeout=timeout)

    # ------------------------------------------------------------------------------------------ rows

    def person(self):
        """Sometimes somebody who is to be erased later."""
        if self.dice.random() > 0.15:
            return None
        if not self.people or self.dice.random() < 0.4:
            self.people.append(model.Person(f"p{self.number}x{self.mark()}@gone.example"))
            self.ledger.people.append(self.people[-1])
        return self.dice.choice(self.people)

    def when(self, is_old=None):
        is_old = self.dice.random() < 0.1 if is_old is None else is_old
        return int(self.world.clock.now()) - (OLD + self.dice.randrange(model.DAY) if is_old else 0)

    def tenant(self):
        return self.own["tenant"] if self.dice.random() < 0.3 else self.dice.choice(self.world.tenants)

    def mailbox(self):
        return self.own["mailbox"] if self.dice.random() < 0.4 else self.dice.choice(self.world.mailboxes)

    def project(self):
        return self.own["project"] if self.dice.random() < 0.3 else self.dice.choice(self.world.projects)

    def an_event(self, tenant, at, address=None, person=None):
        mark = self.mark()
        address = person.address if person else address or f"{mark}@x.example"
        body = {
            "tenant_id": tenant.id, "mailbox_address": address, "action_taken": self.dice.choice(["blocked", "unblocked"]),
            "sent_count": self.dice.randrange(1000), "limit_value": self.dice.randrange(1000),
            "message": mark + " " + "x" * self.dice.randrange(200), "created_at": written(at),
        }
        return model.Row("enforcement", tenant, mark, body, at, person), body

    def a_message(self, mailbox, at, person=None):
        mark = self.mark()
        body = {
            "message_id": mark, "outcome": self.dice.choice(["delivered", "rejected_at_policy", "rate_limited"]),
            "sender_address": person.address if person else f"{self.dice.choice('abcdef')}@sender.example",
            "received_at": at, "reason": self.dice.choice([None, "because", "x" * 100]),
        }
        want = body | {"recipient_address": mailbox.address, "message_hash": None}
        return model.Row("messages", mailbox, mark, want, at, person), body

    def an_activity(self, project, at, person=None):
        mark = self.mark()
        body = {
            "user_id": load.USER, "action": self.dice.choice(["chaos.first", "chaos.second", "chaos.third"]),
            "target_type": "chaos", "target_id": mark,
            "metadata": {"n": self.n, "text": "y" * self.dice.randrange(200)} | ({"of": person.address} if person else {}),
        }
        want = body | {"created_at": ...}
        if at is not None:
            body["created_at"] = want["created_at"] = written(at)
        return model.Row("activity", project, mark, want, at or self.world.clock.now(), person), body

    def bulk(self, word, bodies):
        """(body, headers) as a list or as NDJSON."""
        if self.dice.random() < 0.5:
            return "".join(json.dumps(body) + "\n" for body in bodies), {"Content-Type": "application/x-ndjson"}
        return {word: bodies}, {}

    def how_many(self):
        return self.dice.choice([2, 3, 5, 8, 30])

    def event(self):
        row, body = self.an_event(self.tenant(), self.when(), person=self.person())
        answer = self.write("POST", "/v1/enforcement/events", body, [row])
        self.recent_event = answer["id"], row.mark

    def events(self):
        tenant, person = self.tenant(), self.person()
        rows, bodies = zip(*(self.an_event(tenant, self.when(), person=person) for _ in range(self.how_many())))
        body, headers = self.bulk("events", bodies)
        self.write("POST", "/v1/enforcement/events", body, list(rows), False, headers)

    def message(self):
        mailbox = self.mailbox()
        row, body = self.a_message(mailbox, self.when(), self.person())
        self.write("POST", f"/v1/mailboxes/{mailbox.id}/audit-logs", body, [row], repeats=True)
        self.with_facts.append(row)

    def messages(self):
        mailbox, person = self.mailbox(), self.person()
        rows, bodies = zip(*(self.a_message(mailbox, self.when(), person) for _ in range(self.how_many())))
        body, headers = self.bulk("items", bodies)
        self.write("POST", f"/v1/mailboxes/{mailbox.id}/audit-logs", body, list(rows), True, headers)

    def again(self):
        """The same message again: the entry stands."""
        mails = [(row, data) for row, data in self.mails if row.state == model.ACKNOWLEDGED]
        if not mails:
            return
        row, data = self.dice.choice(mails)
        status, _, answer = self.talk.ask(
            "POST", f"/v1/mailboxes/{row.owner.id}/audit-logs", data, {"Content-Type": "message/rfc822"}, self.by()
        )
        if status == 201:
            self.world.fail(f"{row.mark} was recorded a second time: {answer[:300]}")
        if status not in (200, 201, *BUSY):
            self.world.fail(f"again: {status} {answer[:300]}")

    def mail(self):
        mailbox, mark = self.mailbox(), self.mark()
        sender = f"{self.dice.choice('abcdef')}@sender.example"
        text = "See you.\r\n" * self.dice.randrange(1, 200)
        data = f"From: <{sender}>\r\nMessage-ID: <{mark}@m>\r\nSubject: {mark}\r\n\r\n{text}".encode()
        want = {
            "outcome": "delivered", "reason": None, "sender_address": sender, "recipient_address": ..., "received_at": ...,
            "message_hash": hashlib.sha256(data).hexdigest(),
        }
        return mailbox, model.Row("messages", mailbox, f"{mark}@m", want, self.world.clock.now()), data

    def raw(self):
        mailbox, row, data = self.mail()
        self.mails.append((row, data))
        path = f"/v1/mailboxes/{mailbox.id}/audit-logs"
        self.write("POST", path, data, [row], True, {"Content-Type": "message/rfc822"})

    def raw_by_command(self):
        """As a mail server does: 75 means again."""
        mailbox, row, data = self.mail()
        self.ledger.add([row], time.monotonic())
        for _ in range(20):
            who = self.dice.choice([str(mailbox.id), mailbox.address])
            code, out, err = self.command("--json", "record", "message", "--sysexits", "--mailbox", who, stdin=data)
            if code == 0:
                self.settle([row], model.ACKNOWLEDGED)
                return
            if code not in (75, -9):
                self.world.fail(f"record message: exit {code}, {out[:300]} {err[:300]}")
                return
            self.world.tally["record message", "75"] += 1
            self.world.said[err.split("\n")[0][:100]] += 1
            if self.world.is_ending or self.dice.random() < 0.1:
                return
            time.sleep(0.3)

    def fact(self):
        standing = [row for row in self.with_facts if row.state == model.ACKNOWLEDGED]
        if not standing:
            return
        message = self.dice.choice(standing)
        if message.person and message.person.erasing or message.at < self.world.clock.now() - OLD / 2:
            return
        mark = self.mark()
        kind = self.dice.choice(["reply_sent", "bounce", "tools_used", "tokens_consumed"])
        data = [mark] if kind == "tools_used" else {"mark": mark, "input": self.dice.randrange(100)}
        want = {"message_id": message.mark, "kind": kind, "data": data}
        row = model.Row("facts", message.owner, mark, want, message.at, message.person)
        path = f"/v1/mailboxes/{message.owner.id}/audit-logs/{urllib.parse.quote(message.mark, safe='')}"
        self.write("PATCH", path, {kind: data}, [row])
        self.with_facts.remove(message)

    def activity(self):
        project = self.project()
        row, body = self.an_activity(project, self.dice.choice([None, self.when()]), self.person())
        answer = self.write("POST", f"/api/v1/projects/{project.id}/audit-log", body, [row])
        self.recent_activity = answer["id"], row.mark

    def activities(self):
        project, person = self.project(), self.person()
        rows, bodies = zip(*(self.an_activity(project, self.when(), person) for _ in range(self.how_many())))
        body, headers = self.bulk("entries", bodies)
        self.write("POST", f"/api/v1/projects/{project.id}/audit-log", body, list(rows), False, headers)

    # ------------------------------------------------------------------------------------------ decisions

    def send(self):
        limited = self.dice.choice(list(self.ledger.limited.values()))
        n, clock = self.dice.randint(1, 5), self.world.clock
        body = {"tenant_id": limited.owner.id, "mailbox_address": limited.owner.address, "recipients": n}
        era, first = clock.era, clock.first_day()
        headers = {"Idempotency-Key": f"{self.world.seed}-{self.mark()}"} if self.dice.random() < 0.5 else None
        key, lost = self.by(), False
        try:
            if headers and self.dice.random() < 0.8:
                status, _, data, lost = self.until_known("POST", "/v1/enforcement/sends", body, headers, key)
            else:
                status, _, data = self.talk.ask("POST", "/v1/enforcement/sends", body, headers, key)
        except Lost:
            limited.unknown.append((era, n))
            raise
        if status in BUSY:
            raise Lost("busy", status)
        if status != 200:
            self.world.fail(f"send: {status} {data[:300]}")
            return
        answer = json.loads(data)
        limited.decisions.append((era, first, clock.last_day(), answer["sent_count"], n, answer["action"]))
        if answer["limit_value"] != limited.limit:
            self.world.fail(f"send: {answer} of {limited.limit}")

    def inbound(self):
        mailbox, mark = self.world.gated, self.mark()
        sender = self.dice.choice(["a@ok.example", "a@ok.example", "b@other.example"])
        body = {"message_id": mark, "sender_address": sender, "text_body": "Lunch?"}
        want = {
            "outcome": ..., "reason": ..., "sender_address": sender, "recipient_address": mailbox.address,
            "received_at": ..., "message_hash": None,
        }
        row = model.Row("messages", mailbox, mark, want, self.world.clock.now())
        answer = self.write("POST", f"/v1/mailboxes/{mailbox.id}/inbound", body, [row], repeats=True)
        allowed = ("delivered", "rate_limited") if sender == "a@ok.example" else ("rejected_at_policy",)
        if answer["outcome"] not in allowed:
            self.world.fail(f"inbound: {answer}")
        row.want = (answer["outcome"], answer["reason"], *row.want[2:])

    # ------------------------------------------------------------------------------------------ looking

    def find(self, row):
        """How often it is shown."""
        key = self.key_of_mine()
        if row.log == "enforcement":
            found = self.talk.pages("/v1/enforcement/events", "events", key, mailbox_address=dict(zip(model.FIELDS[row.log], row.want))["mailbox_address"])
            return sum(event["message"].split(" ")[0] == row.mark for event in found)
        if row.log == "messages":
            path = f"/v1/mailboxes/{row.owner.id}/audit-logs"
            return len(self.talk.pages(path, "items", key, message_id=row.mark))
        if row.log == "activity":
            path = f"/api/v1/projects/{row.owner.id}/audit-log"
            return len(self.talk.pages(path, "entries", None, target_id=row.mark))
        path = f"/v1/mailboxes/{row.owner.id}/audit-logs/{urllib.parse.quote(row.want[0], safe='')}"
        status, _, data = self.talk.ask("GET", path, key=key)
        return data.count(f'"{row.mark}"'.encode()) and 1 if status == 200 else 0

    def look(self):
        """What was acknowledged a moment ago, or long ago, is there once."""
        rows = list(self.recent)
        others = self.ledger.standing[self.tenant()]
        if others and self.dice.random() < 0.3:
            rows = [others[self.dice.randrange(len(others))]]
        if not rows:
            return
        row = self.dice.choice(rows)
        n = self.find(row)
        is_old = row.at < self.world.clock.latest() - 50 * model.DAY
        if n > 1 or n == 0 and not is_old:
            self.world.fail(f"look: {row.log} {row.mark} is there {n} times")

    def lists(self):
        """Random lists: in order, and no more than their total."""
        offset = self.dice.choice([0, 0, 10, 1000, 50_000])
        order = self.dice.choice(["asc", "desc"])
        query = {"limit": self.dice.choice([1, 50, 200]), "offset": offset, "order": order}
        if self.dice.random() < 0.5:
            query["from"] = written(self.world.clock.now() - self.dice.choice([60, 3600, OLD]))
        if self.dice.random() < 0.5:
            query["action"] = self.dice.choice(["blocked", "unblocked"])
            path, word = "/v1/enforcement/events", "events"
        else:
            path, word = f"/api/v1/projects/{self.project().id}/audit-log", "entries"
            query["action"] = self.dice.choice(["chaos.first", "chaos.second"])
        status, _, data = self.talk.ask("GET", f"{path}?{urllib.parse.urlencode(query)}", timeout=30)
        if status != 200:
            raise Lost(f"{path}: {status} {data[:300]}", status)
        page = json.loads(data)
        rows = page[word]
        if rows and page["total"] < min(offset, 1) + len(rows):
            self.world.fail(f"{path} {query}: {len(rows)} rows of a total of {page['total']}")
        # Fractions are shown only where there are any: compare seconds.
        times = [(row["created_at"][:19], row["seq"]) for row in rows]
        if [at for at, _ in times] != sorted((at for at, _ in times), reverse=order == "desc"):
            self.world.fail(f"{path} {query}: not in order: {times}")

    # ------------------------------------------------------------------------------------------ holds and removals

    def old_rows(self, owner, person=None):
        """Records rows that are too old, where the owner's hold will keep them."""
        for _ in range(self.dice.randint(2, 10)):
            which = "activity" if owner.kind == "project" else self.dice.choice(["enforcement", "messages"])
            at, tenant, mailbox = self.when(True), self.own["tenant"], self.own["mailbox"]
            if which == "activity":
                row, body = self.an_activity(owner, at, person)
                path = f"/api/v1/projects/{owner.id}/audit-log"
            elif which == "messages":
                row, body = self.a_message(mailbox, at, person)
                path = f"/v1/mailboxes/{mailbox.id}/audit-logs"
            else:
                address = mailbox.address if owner.kind == "mailbox" else None
                row, body = self.an_event(tenant, at, address, None if address else person)
                path = "/v1/enforcement/events"
            with contextlib.suppress(Lost, NotSent):
                self.write("POST", path, body, [row])

    def marks_of(self, owner):
        """Of everything that this owner's hold keeps."""
        marks = set()
        if owner.kind == "project":
            rows = self.talk.pages(f"/api/v1/projects/{owner.id}/audit-log", "entries")
            return {row["target_id"] for row in rows if row.get("target_type") == "chaos"}
        mailbox = self.own["mailbox"]
        rows = self.talk.pages(f"/v1/mailboxes/{mailbox.id}/audit-logs", "items")
        marks |= {row["message_id"] for row in rows}
        marks |= {mark_of_fact(fact) for row in rows for fact in row["appended"]}
        wanted = {"tenant_id": owner.id} if owner.kind == "tenant" else {"mailbox_address": mailbox.address}
        events = self.talk.pages("/v1/enforcement/events", "events", **wanted)
        return marks | {event["message"].split(" ")[0] for event in events}

    def path_of(self, owner):
        return f"/api/v1/admin/{PLURALS[owner.kind]}/{owner.id}"

    def set_hold(self, owner, is_on):
        if self.dice.random() < 0.2:
            for _ in range(30):
                code, out, err = self.command("--json", owner.kind, "hold" if is_on else "release", str(owner.id))
                if code == 0:
                    return json.loads(out)["legal_hold"]
                self.world.said[err.split("\n")[0][:100]] += 1
                time.sleep(0.3)
            raise Lost("given up")
        status, _, data, _ = self.until_known("PATCH", self.path_of(owner), {"legal_hold": is_on}, None, self.by_admin())
        if status != 200:
            self.world.fail(f"hold: {status} {data[:300]}")
            raise Lost("hold", status)
        return json.loads(data)["legal_hold"]

    def by_admin(self):
        return self.world.key if self.dice.random() < 0.5 else None

    def hold(self):
        hold = self.holds[self.dice.choice(["tenant", "mailbox", "project"])]
        if not hold.is_on:
            self.old_rows(hold.owner, self.person())
            hold.may_be = True
            if self.set_hold(hold.owner, True) is not True:
                self.world.fail(f"hold of {hold.owner.kind} {hold.owner.id}: answered, and not held")
            # Held from here on: what is there stays.
            hold.kept = self.marks_of(hold.owner)
            hold.is_on = True
            return
        missing = hold.kept - self.marks_of(hold.owner)
        if missing:
            self.world.fail(f"held, and gone: {len(missing)} of {hold.owner.kind} {hold.owner.id}: {sorted(missing)[:3]}")
            hold.kept -= missing
        if hold.owner.kind == "tenant":
            path = self.path_of(self.own["mailbox"])
            status, _, data = self.talk.ask("PATCH", path, {"tenant_id": None}, None, self.by_admin())
            if status not in (409, *BUSY):
                self.world.fail(f"a mailbox left its tenant, which is on hold: {status} {data[:300]}")
        if self.dice.random() < 0.6:
            self.old_rows(hold.owner, self.person())
            return
        hold.is_on = False
        if self.set_hold(hold.owner, False) is not False:
            self.world.fail(f"release of {hold.owner.kind} {hold.owner.id}: answered, and still held")
        hold.may_be = False

    def retention(self):
        if self.dice.random() < 0.5:
            code, out, err = self.command("--json", "retention", "run")
            said = out + err
        else:
            status, _, data = self.talk.ask("POST", "/api/v1/admin/retention/run", timeout=120)
            code, said = (0 if status == 200 else 1), data.decode()
            if status in BUSY:
                raise Lost("busy", status)
        if code == 0:
            self.world.tally["retention", "removed"] += sum(json.loads(said.split("\n")[0])["deleted"].values())
        elif "until they agree" in said:
            self.world.tally["retention", "clock behind"] += 1
        elif code == 1:
            self.world.fail(f"retention run: {said[:300]}")

    def erase(self):
        """A person of our own, whom nobody records any more."""
        ready = [person for person in self.people if len(person.rows) > 1]
        if not ready:
            return
        person = self.dice.choice(ready)
        self.people.remove(person)
        person.erasing = True
        holds = [hold for hold in self.holds.values() if hold.may_be]
        person.kept = {row.mark for row in person.rows if any(hold.covers(row) for hold in holds)}
        why = f"on their wish, number {self.mark()}"
        if self.dice.random() < 0.3:
            for _ in range(20):
                code, out, err = self.command("--json", "erase", "--address", person.address, "--why", why)
                if code == 0:
                    break
                self.world.said[err.split("\n")[0][:100]] += 1
                time.sleep(0.3)
            else:
                return
            answer = json.loads(out)
        else:
            body = {"address": person.address, "why": why}
            by = self.by_admin()
            for _ in range(200):
                status, _, data, _ = self.until_known("POST", "/api/v1/admin/erasures", body, None, by, timeout=120)
                if b"already_running" not in data:
                    break
                time.sleep(0.3)
            if status != 200:
                self.world.fail(f"erase: {status} {data[:300]}")
                return
            answer = json.loads(data)
        person.erased = True
        self.world.tally["erase", "rows on hold"] += answer.get("removed", {}).get("on_hold", 0)

    # ------------------------------------------------------------------------------------------ administration

    def owner(self):
        """Makes one, changes it, deletes it."""
        kind = self.dice.choice(["tenant", "mailbox", "project"])
        name = f"{kind}-{self.mark()}"
        body = {"address": f"{name}@made.example", "tenant_id": self.own["tenant"].id} if kind == "mailbox" else {"name": name}
        headers = {"Idempotency-Key": f"{self.world.seed}-{name}"}
        made = {"kind": kind, "name": body.get("address", name), "id": None, "deleted": False}
        self.ledger.acts.append(made)
        path, by = f"/api/v1/admin/{PLURALS[kind]}", self.by_admin()
        try:
            status, _, data, _ = self.until_known("POST", path, body, headers, by)
        except Lost:
            made["id"] = model.UNKNOWN
            raise
        if status != 201:
            self.world.fail(f"{path}: {status} {data[:300]}")
            return
        made["id"] = json.loads(data)["id"]
        if self.dice.random() < 0.5:
            # Its rows outlive it.
            owner = model.Owner(kind, made["id"], DAYS, body.get("address"))
            if kind == "mailbox":
                self.world.made_mailboxes.append(owner)
            self.rows_of(owner)
        if self.dice.random() < 0.5:
            change = {"daily_send_limit": 7} if kind == "mailbox" else {"name": name}
            self.until_known("PATCH", f"{path}/{made['id']}", change, None, by)
        if self.dice.random() < 0.6:
            made["deleted"] = model.UNKNOWN
            status, _, data, lost = self.until_known("DELETE", f"{path}/{made['id']}", None, {"Idempotency-Key": f"{self.world.seed}-{name}-gone"}, by)
            if status != 204:
                self.world.fail(f"delete {path}: {status} {data[:300]}")
                return
            made["deleted"] = True

    def rows_of(self, owner):
        for _ in range(self.dice.randint(1, 4)):
            at = self.when(False)
            if owner.kind == "tenant":
                (row, body), path = self.an_event(owner, at), "/v1/enforcement/events"
            elif owner.kind == "mailbox":
                (row, body), path = self.a_message(owner, at), f"/v1/mailboxes/{owner.id}/audit-logs"
            else:
                (row, body), path = self.an_activity(owner, at), f"/api/v1/projects/{owner.id}/audit-log"
            with contextlib.suppress(Lost, NotSent):
                self.write("POST", path, body, [row])

    def key(self):
        """A key is made, rotated, revoked: from then on it is nobody's."""
        by = self.by_admin()
        if len(self.keys) < 3:
            scopes = ["enforcement:read", "enforcement:write", "messages:read", "messages:write", "activity:write"]
            status, _, data = self.talk.ask("POST", "/api/v1/admin/keys", {"name": f"key-{self.mark()}", "scopes": scopes}, None, by)
            if status == 201:
                made = json.loads(data)
                self.keys.append((made["id"], made["key"]))
            elif status not in BUSY:
                self.world.fail(f"key: {status} {data[:300]}")
            return
        id, text = self.keys.pop(0)
        if self.dice.random() < 0.4:
            status, _, data = self.talk.ask("POST", f"/api/v1/admin/keys/{id}/rotate", {"overlap": "0s"}, None, by)
            if status == 201:
                made = json.loads(data)
                self.keys.append((made["id"], made["key"]))
                self.ledger.dead_keys.append(text)
            elif status not in BUSY:
                self.world.fail(f"rotate: {status} {data[:300]}")
            return
        status, _, data, _ = self.until_known("DELETE", f"/api/v1/admin/keys/{id}", None, None, by)
        if status != 204:
            self.world.fail(f"revoke: {status} {data[:300]}")
            return
        self.ledger.dead_keys.append(text)

    def dead_key(self):
        if not self.ledger.dead_keys:
            return
        text = self.dice.choice(self.ledger.dead_keys)
        status, _, data = self.talk.ask("GET", "/v1/enforcement/events?limit=1", key=text)
        if status not in (401, *BUSY):
            self.world.fail(f"a revoked key is answered: {status} {data[:100]}")

    def user(self):
        """An account, its login, its end."""
        email, password = f"u{self.mark()}x{self.number}@people.example", "correct horse battery"
        body = {"email": email, "role": "auditor", "password": password}
        status, _, data = self.talk.ask("POST", "/api/v1/admin/users", body, timeout=30)
        if status != 201:
            if status not in BUSY:
                self.world.fail(f"user: {status} {data[:300]}")
            return
        id = json.loads(data)["id"]
        status, headers, data = self.talk.ask(
            "POST", "/api/v1/auth/login", json.dumps({"email": email, "password": password}), key="", timeout=30
        )
        if status not in (200, *BUSY):
            self.world.fail(f"login: {status} {data[:300]}")
        cookie = (headers.get("Set-Cookie") or "").split(";")[0]
        status, _, data, _ = self.until_known("DELETE", f"/api/v1/admin/users/{id}", headers={"Idempotency-Key": email})
        if status != 204:
            self.world.fail(f"delete user: {status} {data[:300]}")
        path = f"/api/v1/projects/{self.world.projects[0].id}/audit-log?limit=1"
        status, _, data, _ = self.until_known("GET", path, headers={"Cookie": cookie}, key="")
        if status not in (401, 403):
            self.world.fail(f"a member who was removed is answered: {status} {data[:100]}")

    def policy(self):
        mailbox = self.own["mailbox"]
        days = self.dice.choice([20, 365, 3650])
        mailbox.days = min(mailbox.days, days)
        body = {"defaultAction": "bounce", "senders": [], "contentGuards": [], "auditLog": {"retentionDays": days, "includeBodyHash": False}}
        self.policy_version[1] += 1
        by = self.by_admin()
        try:
            status, _, data = self.talk.ask("PUT", f"/v1/mailboxes/{mailbox.id}/policy", body, None, by)
        except NotSent:
            self.policy_version[1] -= 1
            raise
        if status in BUSY:
            self.policy_version[1] -= 1
            return
        version = json.loads(data)["version"] if status == 200 else -1
        if not self.policy_version[0] < version <= self.policy_version[1]:
            self.world.fail(f"policy: {status} {data[:300]}, where {self.policy_version} are known")
        self.policy_version = [version, version]

    # ------------------------------------------------------------------------------------------ files

    def imports(self):
        """A file, broken off and begun again until it is through; and once more."""
        n = self.dice.choice([20, 300, 1200])
        which = self.dice.choice(["enforcement", "messages", "activity"])
        if which == "enforcement":
            owner, more = self.tenant(), []
            pairs = [self.an_event(owner, self.when()) for _ in range(n)]
        elif which == "messages":
            owner = self.mailbox()
            more = ["--mailbox", str(owner.id)]
            pairs = [self.a_message(owner, self.when()) for _ in range(n)]
        else:
            owner = self.project()
            more = ["--project", str(owner.id)]
            pairs = [self.an_activity(owner, self.when()) for _ in range(n)]
        rows = [row for row, _ in pairs]
        file = self.world.scratch / f"import-{self.number}-{self.n}.ndjson"
        file.write_text("".join(json.dumps(body) + "\n" for _, body in pairs))
        self.ledger.add(rows, time.monotonic())
        for row in rows:
            row.batch = None
        for _ in range(20):
            kill_after = self.dice.random() * 2 if self.dice.random() < 0.4 else None
            code, _, err = self.command("import", which, str(file), *more, kill_after=kill_after)
            if code == 0:
                self.settle(rows, model.ACKNOWLEDGED)
                if self.dice.random() < 0.4:
                    self.command("import", which, str(file), *more)
                break
            if code == 1:
                self.world.fail(f"import: {err[-600:]}")
                break
            self.world.tally["imports", "broken off"] += 1
            if self.world.is_ending:
                break
            time.sleep(0.3)
        file.unlink()

    def export(self):
        """Everything of the last minutes that was acknowledged before is in what is exported after."""
        owner = self.dice.choice([self.tenant(), self.project(), self.mailbox()])
        since = int(self.world.clock.now()) - 120
        standing = self.ledger.standing[owner]
        expected = [row for row in standing[-3000:] if row.at >= since and row.log != "facts"]
        if owner.kind == "tenant":
            log, path, more = "enforcement", "/v1/enforcement/events", {"tenant_id": owner.id}
            flags = ["--tenant", owner.id]
        elif owner.kind == "mailbox":
            log, path, more = "messages", f"/v1/mailboxes/{owner.id}/audit-logs", {}
            flags = ["--mailbox", str(owner.id)]
        else:
            log, path, more = "activity", f"/api/v1/projects/{owner.id}/audit-log", {}
            flags = ["--project", owner.id]
        if self.dice.random() < 0.3:
            code, out, err = self.command("export", log, *flags, "--from", written(since))
            if code != 0:
                raise Lost(err[:100])
            found = [json.loads(line) for line in out.split("\n") if line]
        else:
            found = self.talk.stream(path, **more, **{"from": written(since)})
        marks = collections.Counter(mark_of(log, row) for row in found)
        # Received in whole seconds: those of the first one may be a hair older.
        missing = [row.mark for row in expected if row.at > since + 1 and not marks[row.mark]]
        if missing:
            self.world.fail(f"export of {log}: {len(missing)} of {len(expected)} are missing: {missing[:3]}")
        twice = [mark for mark, n in marks.items() if n > 1 and mark]
        if twice:
            self.world.fail(f"export of {log}: twice: {twice[:3]}")

    def backup(self):
        """A backup, put in place elsewhere, has what was acknowledged before it, and nothing that came after."""
        if not self.world.one_backup.acquire(blocking=False):
            return
        try:
            if time.monotonic() < self.world.next_backup:
                return
            self.world.next_backup = time.monotonic() + 30
            self.world.back_up(self.talk, self.number)
        finally:
            self.world.one_backup.release()

    # ------------------------------------------------------------------------------------------ proofs

    def pin(self):
        if self.dice.random() < 0.5:
            code, out, err = self.command("checkpoint")
            if code != 0:
                raise Lost(err[:100])
        else:
            status, _, data = self.talk.ask("GET", "/tlog/checkpoint", key=self.world.key)
            if status in BUSY:
                raise Lost("busy", status)
            out = data.decode()
            if status != 200:
                self.world.fail(f"/tlog/checkpoint: {status} {out[:300]}")
                return
        self.world.pin(out)

    def proof(self):
        rows = [row for row in self.recent if row.at > self.world.clock.now() - OLD / 2]
        which = self.dice.choice(["enforcement", "messages", "activity"])
        if which == "messages":
            rows = [row for row in rows if row.log in ("messages", "facts")]
            if not rows:
                return
            row = self.dice.choice(rows)
            message, more = (row.mark, "") if row.log == "messages" else (row.want[0], "?fact=1")
            path = f"/v1/mailboxes/{row.owner.id}/audit-logs/{urllib.parse.quote(message, safe='')}/proof{more}"
            mark, key = row.mark if row.log == "messages" else "", self.key_of_mine()
        else:
            known = getattr(self, "recent_event" if which == "enforcement" else "recent_activity", None)
            if known is None:
                return
            id, mark = known
            row = self.ledger.rows[which][mark]
            if row.person or row.at < self.world.clock.now() - OLD / 2:
                return
            path = f"/v1/enforcement/events/{id}/proof"
            if which == "activity":
                path = f"/api/v1/projects/{row.owner.id}/audit-log/{id}/proof"
            key = self.key_of_mine() if which == "enforcement" else None
        status, _, data = self.talk.ask("GET", path, key=key, timeout=30)
        if status in BUSY:
            raise Lost("busy", status)
        if status != 200:
            self.world.fail(f"{path}: {status} {data[:300]}")
            return
        self.world.proof(self.talk, data, mark)

    def examine(self):
        """All of it, while the others write."""
        what = self.dice.choice(["verify", "check", "repair"])
        if what == "verify":
            status, _, data = self.talk.ask("GET", "/api/v1/admin/verify", timeout=300)
        else:
            status, _, data = self.talk.ask("POST", "/api/v1/admin/check", {"repair": what == "repair"}, timeout=300)
        if status in BUSY or b"already_running" in data:
            raise Lost("busy", 503)
        found = json.loads(data)
        if status != 200 or not found["ok"] or found.get("repaired"):
            self.world.fail(f"{what}: {status} {data[:600]}")

    def renew(self):
        """The log goes on under another name, also with another key."""
        body = {"why": f"chaos {self.mark()}", "new_key": self.dice.random() < 0.5}
        status, _, data = self.talk.ask("POST", "/api/v1/admin/epochs", body, timeout=30)
        if status not in (201, *BUSY):
            self.world.fail(f"renew: {status} {data[:300]}")


def mark_of(log, shown):
    """None for what the program itself recorded."""
    if log == "enforcement":
        mark = shown["message"].split(" ")[0]
        return None if mark == "Mailbox" else mark
    if log == "messages":
        return shown["message_id"]
    return shown["target_id"] if shown.get("target_type") == "chaos" else None


def mark_of_fact(shown):
    return shown["data"][0] if isinstance(shown["data"], list) else shown["data"]["mark"]
