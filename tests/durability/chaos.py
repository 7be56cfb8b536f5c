#!/usr/bin/env python3
"""Clients at operations of every kind, while the server is killed, stopped, frozen, and its clock leaps.

    tests/durability/chaos.py --seconds 1800 --clients 32    by hand
    tests/durability/chaos.py --seconds 30 --clients 8       in the gate

Events, sends, messages, facts, activities, one by one, in batches, as NDJSON and as raw mail; owners, keys, people,
policies, holds; imports that are broken off, exports, retention, erasures, backups that are put in place elsewhere,
checkpoints, proofs, other epochs: over TCP, the Unix socket and the command line, each client by dice of its own
(chaos_clients.py). Meanwhile the server gets SIGKILL, SIGTERM or SIGSTOP, also while it starts, and libfaketime (Debian: faketime) moves the
clock of all that runs: seconds ahead, minutes back, days ahead and back again.

What was acknowledged is remembered (chaos_model.py) and held against what is shown, some of it all the time, all of it
at the end: every row once and as it was sent, none that nobody sent, limits and rates kept, nothing held or too young
removed, totals and offsets as the rows are, every proof and pin good, dead keys dead, `check` and `verify` content.
Nothing is asked yet of `after=`, which follows a log: its place is `World.examine_lists`.

The seed is printed; with --seed the dice fall the same way, though not the threads.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "proof"))

import ed25519  # noqa: E402

ed25519.stand_in()

import chaos_clients as clients  # noqa: E402
import chaos_model as model  # noqa: E402
import load  # noqa: E402
import tlog  # noqa: E402

DAYS = clients.DAYS
# The clock is never further ahead than this, so that nothing recorded here comes of age.
MOST_AHEAD = 12 * model.DAY
SETTINGS = (
    "log=warn", f"retention_days={DAYS}", f"activity_retention_days={DAYS}",
    "max_requests_per_address=unlimited", "backup_every=6h", "backups_kept=2",
)
PER_HOUR = 50
# Seconds after which any leap of the clock is believed that stood.
BELIEVED = 900
# What the server may say of a clock that went back, of more than it can do at once, and of its end.
TOLD = ("nothing is deleted until they agree", "is busy", "is stopping", "database: interrupted")


class Clock:
    """What libfaketime says: the true time and an offset, which is read again for every look at a clock."""

    def __init__(self, file):
        self.file, self.offset, self.era = file, 0.0, 0
        # When it was set, by a clock that nobody sets, and the offset before.
        self.was = []
        # The latest that a process may have seen since the clock was accepted, and ever.
        self.may_be = self.ever = time.time()
        self.set(0.0)

    def set(self, offset):
        self.latest()
        self.was.append((time.monotonic(), self.offset))
        partial = self.file.with_suffix(".partial")
        partial.write_text(f"{offset:+.0f}")
        partial.rename(self.file)
        self.offset = offset

    def now(self):
        return time.time() + self.offset

    def latest(self):
        """The latest time that any process may have seen in all this."""
        self.may_be = max(self.may_be, self.now() + 1)
        self.ever = max(self.ever, self.may_be)
        return self.ever

    def first_day(self):
        """No day of sends that is counted now began earlier: a leap may be believed only when it has stood for a while."""
        offsets = [offset for at, offset in self.was if at > time.monotonic() - BELIEVED]
        return int((time.time() + min([self.offset, *offsets]) - 1) // model.DAY)

    def last_day(self):
        self.latest()
        return int(self.may_be // model.DAY)

    def settle(self, latest):
        """The clock stands still where it is, and this is the latest that a write has seen."""
        self.latest()
        self.may_be = max(latest, self.now()) + 1

    def accepted(self):
        self.settle(self.now())
        self.was = []
        self.era += 1


class Service:
    """The server, start after start. A new one takes another port of an address that nobody else has."""

    def __init__(self, world, data):
        self.world, self.data = world, data
        self.socket = str(data / "mailtrail.sock")
        self.listen = "127.%d.%d.%d" % (77, os.getpid() % 250, os.getpid() // 250 % 250 + 1)
        self.process, self.number, self.address = None, 0, None
        self.log = world.scratch / "serve.log"

    def spawn(self):
        command = [load.BINARY, "--data", str(self.data), "serve", "--listen", f"{self.listen}:0"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.world.environment)
        # As the end of a harness that is killed itself.
        return self.process

    def url(self, patience):
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        return self.process.stdout.readline().decode().strip() if ready else None

    def start(self):
        for _ in range(20):
            self.spawn()
            url = self.url(120)
            if url:
                self.number += 1
                self.address = url.removeprefix("http://")
                return
            code = self.end(signal.SIGKILL) if url is None else self.process.wait(60)
            self.process.stdout.close()
            last = self.log.read_text(errors="replace")[-600:]
            # Some command had it for longer than is waited: whoever starts it tries again.
            if code in (0, 78) or "is in use by" not in last:
                raise RuntimeError(f"it does not start: exit {code}, {last}")
            self.world.tally["start", "directory held"] += 1
            time.sleep(0.3)
        raise RuntimeError("the directory stays held")

    def end(self, how):
        """Its exit code."""
        self.address = None
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


class World:
    """What all clients share."""

    def __init__(self, given, scratch):
        self.given, self.scratch, self.seed = given, scratch, given.seed
        self.dice = random.Random(f"{given.seed}-world")
        self.ledger = model.Ledger()
        self.tally, self.said, self.longest = collections.Counter(), collections.Counter(), collections.defaultdict(float)
        self.failures = []
        self.pause_of_clients = given.clients / given.rate
        self.turns, self.n_at_work, self.is_paused, self.is_ending = threading.Condition(), 0, False, False
        self.one_backup, self.next_backup, self.pins = threading.Lock(), time.monotonic() + 5, threading.Lock()
        self.proofs, self.pinned, self.made_mailboxes = [], [], []
        self.clock = Clock(scratch / "clock")
        # The server's settings, and those of commands while none serves.
        configuration = self.scratch / "mailtrail.toml"
        lines = [f'{name} = "{value}"\n' for name, _, value in (setting.partition("=") for setting in SETTINGS)]
        configuration.write_text("".join(lines))
        self.environment = load.ENVIRONMENT | {
            "MAILTRAIL_CONFIG": str(configuration),
            "LD_PRELOAD": faketime(), "FAKETIME_TIMESTAMP_FILE": str(self.clock.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }
        self.data = scratch / "data"
        self.service = Service(self, self.data)
        self.make_owners()

    def make_owners(self):
        made = self.json("init", "--email", "ada@example.org")
        self.key, self.workspace = made["api_key"], made["workspace_id"]
        self.service.start()
        talk = self.talk = clients.Talk(self.service, timeout=60)

        def make(kind, **body):
            status, _, data = talk.ask("POST", f"/api/v1/admin/{clients.PLURALS[kind]}", body)
            assert status == 201, data
            return model.Owner(kind, json.loads(data)["id"], DAYS, body.get("address"))

        self.tenants = [make("tenant", name=f"Tenant {n}") for n in range(2)]
        self.mailboxes = [make("mailbox", address=f"shared{n}@a.example") for n in range(2)]
        self.projects = [make("project", name=f"Project {n}") for n in range(2)]
        self.owned = []
        for n in range(self.given.clients):
            tenant = make("tenant", name=f"Of client {n}")
            mailbox = make("mailbox", address=f"client{n}@a.example", tenant_id=tenant.id)
            self.owned.append({"tenant": tenant, "mailbox": mailbox, "project": make("project", name=f"Of client {n}")})
        for limit in (25, 200, 1000):
            mailbox = make("mailbox", address=f"limit{limit}@a.example", tenant_id=self.tenants[0].id, daily_send_limit=limit)
            limited = model.Owner("mailbox", self.tenants[0].id, DAYS, mailbox.address)
            self.ledger.limited[mailbox.address] = model.Limited(limited, limit)
        self.gated = make("mailbox", address="gated@a.example")
        rule = {"match": {"domain": "ok.example", "requireDkim": False, "requireSpf": False}, "capabilities": [], "rateLimit": {"perHour": PER_HOUR}}
        policy = {"defaultAction": "bounce", "senders": [rule], "contentGuards": [], "auditLog": {"retentionDays": 3650, "includeBodyHash": False}}
        status, _, data = talk.ask("PUT", f"/v1/mailboxes/{self.gated.id}/policy", policy)
        assert status == 200, data

    def own_owners(self, number):
        return self.owned[number]

    def every_mailbox(self):
        return [*self.mailboxes, self.gated, *(own["mailbox"] for own in self.owned), *self.made_mailboxes]

    # ------------------------------------------------------------------------------------------ turns

    def begin_turn(self):
        with self.turns:
            self.turns.wait_for(lambda: not self.is_paused or self.is_ending)
            if self.is_ending or self.failures:
                return False
            self.n_at_work += 1
            return True

    def end_turn(self):
        with self.turns:
            self.n_at_work -= 1
            self.turns.notify_all()

    @contextlib.contextmanager
    def nobody_at_work(self):
        with self.turns:
            self.is_paused = True
            self.turns.wait_for(lambda: self.n_at_work == 0)
        try:
            yield
        finally:
            with self.turns:
                self.is_paused = False
                self.turns.notify_all()

    def fail(self, what):
        self.failures.append(what)
        print(f"{time.strftime('%H:%M:%S')} FAILED {what}", flush=True)

    # ------------------------------------------------------------------------------------------ commands

    def command(self, *arguments, stdin=None, kill_after=None, timeout=300, data=None):
        command = [load.BINARY, "--data", str(data or self.data), *arguments]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment
        )
        try:
            out, err = process.communicate(stdin or b"", timeout=kill_after or timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            if kill_after is None:
                self.fail(f"{arguments} does not end")
        code, out, err = process.returncode, out.decode(), err.decode()
        if code in (0, 1, 2, 3, 75) or code == -9 and kill_after is not None:
            if code in (1, 2):
                self.said[f"{arguments[:3]}: " + err.strip().split("\n")[0][:160]] += 1
        else:
            self.fail(f"{arguments}: exit {code}, {out[-300:]} {err[-600:]}")
        if "panicked" in err:
            self.fail(f"{arguments}: {err[-600:]}")
        return code, out, err

    def json(self, *arguments, data=None):
        code, out, err = self.command("--json", *arguments, data=data)
        if code != 0:
            raise RuntimeError(f"{arguments}: exit {code}, {out[-600:]} {err[-600:]}")
        return json.loads(out)

    # ------------------------------------------------------------------------------------------ pins and proofs

    def pin(self, note):
        checkpoint = tlog.parse_checkpoint(tlog.parse_note(note.encode()).text)
        with self.pins:
            with open(self.scratch / "pins", "a") as pins:
                pins.write(note)
            self.pinned.append(checkpoint)

    def keys(self, talk):
        status, _, data = talk.ask("GET", "/tlog/keys", key=self.key, timeout=30)
        if status != 200:
            raise clients.Lost("keys", status)
        return data.decode().split()

    def proof(self, talk, data, mark):
        """Verifies a proof with Python, and keeps it."""
        keys = self.keys(talk)
        reasons = []
        for key in keys:
            try:
                record = tlog.verify_proof(data, key)
                break
            except tlog.NotVerified as reason:
                reasons.append(str(reason))
        else:
            self.fail(f"a proof does not verify: {reasons}; {data[:600]}")
            return
        if mark not in json.dumps(record):
            self.fail(f"the proof of {mark} is that of {record}")
        checkpoint = tlog.parse_checkpoint(tlog.parse_note(tlog.parse_proof(data).checkpoint).text)
        with self.pins:
            self.proofs.append((data, key))
            self.pinned.append(checkpoint)

    def examine_pins(self):
        """Every root that was ever signed is one of the tree of today."""
        talk, n_gone = self.talk, 0
        status, _, data = talk.ask("GET", "/tlog/checkpoint", key=self.key)
        newest = tlog.parse_checkpoint(tlog.parse_note(data).text)
        known = {checkpoint.size: checkpoint for checkpoint in self.pinned}
        for size, checkpoint in known.items():
            if any(other.root != checkpoint.root for other in self.pinned if other.size == size):
                self.fail(f"two roots were signed for {size} leaves")
        for size, checkpoint in sorted(known.items()):
            status, _, data = talk.ask("GET", f"/api/v1/admin/root?size={size}")
            root = json.loads(data)["root"] if status == 200 else data
            if root is None:
                n_gone += 1
            elif tlog.hash_of(root) != checkpoint.root:
                self.fail(f"the root of {size} leaves was {checkpoint.root.hex()}, and is {root}")
        for size in self.dice.sample(sorted(known), min(40, len(known))):
            if not 0 < size <= newest.size:
                continue
            status, _, data = talk.ask("GET", f"/api/v1/admin/consistency?old={size}&size={newest.size}")
            if status == 422 and b"ended among rows that are gone" in data:
                n_gone += 1
                continue
            path = [tlog.hash_of(line) for line in json.loads(data)["proof"]]
            try:
                tlog.verify_consistency(size, newest.size, known[size].root, newest.root, path)
            except tlog.NotVerified as reason:
                self.fail(f"from {size} to {newest.size}: {reason}")
        def tile(path):
            status, _, data = talk.ask("GET", f"/tlog/{path}", key=self.key)
            if status != 200:
                raise clients.Lost(path, status)
            return data

        reader = tlog.TileReader(tile, newest)
        for size in self.dice.sample(sorted(known), min(40, len(known))):
            try:
                if reader.root(size) != known[size].root:
                    self.fail(f"the tiles have another root for {size} leaves")
            except clients.Lost:
                n_gone += 1
        return f"{len(known)} roots; {n_gone} looks at what went with its rows"

    # ------------------------------------------------------------------------------------------ everything that is shown

    def everything(self, talk, mailboxes):
        """(log, mark, shown) of every row of the logs."""
        for event in talk.stream("/v1/enforcement/events"):
            if event["message"].startswith("Mailbox "):
                yield "limits", event["mailbox_address"], event
            else:
                yield "enforcement", clients.mark_of("enforcement", event), event
        for mailbox in mailboxes:
            for entry in talk.stream(f"/v1/mailboxes/{mailbox.id}/audit-logs"):
                yield "messages", entry["message_id"], entry
                for fact in entry["appended"]:
                    yield "facts", clients.mark_of_fact(fact), fact | {"message_id": entry["message_id"]}
        for activity in talk.stream(f"/api/v1/workspaces/{self.workspace}/audit-log"):
            mark = clients.mark_of("activity", activity)
            yield "activity" if mark else "acts", mark, activity

    def judge(self, talk, only_before=None, held=None, mailboxes=None):
        """What is wrong with all of it; of a backup, with that of the mailboxes there were."""
        rows, limits, acts, gated = [], collections.defaultdict(list), [], []
        for log, mark, shown in self.everything(talk, mailboxes or self.every_mailbox()):
            if log == "limits":
                limits[mark].append((shown["seq"], shown["action_taken"]))
            elif log == "acts":
                acts.append(shown)
            else:
                rows.append((log, mark, shown))
                if log == "messages" and shown["mailbox_id"] == self.gated.id and shown["sender_address"] == "a@ok.example":
                    gated.append((shown["id"], shown["recorded_at"], shown["outcome"]))
        said = self.ledger.judge(rows, self.clock.latest(), self.ledger.held() if held is None else held, only_before)
        if only_before is None:
            for address, limited in self.ledger.limited.items():
                events = [action for _, action in sorted(limits.pop(address, []))]
                said += limited.problems(events)
            said += [f"an event of a limit that nobody has: {address}" for address in limits if not address.endswith("@made.example")]
            said += model.rate_problems([(at, outcome, "a@ok.example") for _, at, outcome in sorted(gated)], PER_HOUR)
            said += self.examine_acts(acts, talk)
        return said, rows

    def examine_acts(self, acts, talk):
        """What was made is there once, what was deleted is not, and each is an activity, once."""
        said = []
        done = collections.Counter((act["action"], act["target_id"]) for act in acts)
        words = {"tenant": "tenant_name", "mailbox": "primary_smtp", "project": "name"}
        for kind, plural in clients.PLURALS.items():
            rows = talk.pages_or_all(f"/api/v1/admin/{plural}", plural)
            there = collections.Counter(row[words[kind]] for row in rows)
            for made in self.ledger.acts:
                if made["kind"] != kind:
                    continue
                name, n = made["name"], there[made["name"]]
                if n > 1:
                    said.append(f"{name} is there {n} times")
                if made["id"] in (None, model.UNKNOWN):
                    continue
                if made["deleted"] is True and n or made["deleted"] is False and not n:
                    said.append(f"{name}: {made}, and {n} are there")
                id = str(made["id"])
                if done[f"{kind}.create", id] != 1 or made["deleted"] is True and done[f"{kind}.delete", id] != 1:
                    said.append(f"{name}: noted {done[f'{kind}.create', id]} times, its end {done[f'{kind}.delete', id]} times")
        return said

    def examine_lists(self, talk):
        """Totals, offsets and cursors of some filters; while nobody is at work, but for the server's own jobs."""
        tenant, project = self.dice.choice(self.tenants), self.dice.choice(self.projects)
        own = self.dice.choice(self.owned)
        events, activities = "/v1/enforcement/events", f"/api/v1/projects/{project.id}/audit-log"
        since = clients.written(self.clock.now() - self.dice.choice([30, 300]))
        asked = [
            (events, "events", {"tenant_id": tenant.id}),
            (events, "events", {"tenant_id": own["tenant"].id, "action": "blocked"}),
            (events, "events", {"from": since}),
            (events, "events", {"action": "unblocked", "to": since, "tenant_id": tenant.id}),
            (activities, "entries", {}),
            (activities, "entries", {"action": "chaos.first", "from": since}),
            (activities, "entries", {"user_id": load.USER, "order": "asc"}),
            (f"/api/v1/workspaces/{self.workspace}/audit-log", "entries", {"from": since}),
        ]
        for path, word, query in self.dice.sample(asked, 4):
            for last_try in (False, False, True):
                wrong = self.examine_list(talk, path, word, query)
                if not wrong:
                    break
                if last_try:
                    self.fail(f"{path} {query}: {wrong}")

    def examine_list(self, talk, path, word, query):
        rows = talk.pages(path, word, **query)
        numbers = [row["seq"] for row in rows]
        if len(set(numbers)) != len(numbers):
            return "a row comes twice"
        for offset in {0, len(rows) // 2, max(0, len(rows) - 7), self.dice.randrange(len(rows) + 1)}:
            asked = clients.urllib.parse.urlencode(query | {"offset": offset, "limit": 50})
            status, _, data = talk.ask("GET", f"{path}?{asked}", timeout=60)
            page = json.loads(data)
            if status != 200 or page["total"] != len(rows):
                return f"{status}: a total of {page.get('total')}, and {len(rows)} rows"
            if [row["seq"] for row in page[word]] != numbers[offset : offset + 50]:
                return f"the page at {offset} is not what the cursors gave"
        return None

    def accept_clock(self, talk):
        """While nobody is at work: times start again at the clock's."""
        status, _, data = talk.ask("POST", "/api/v1/admin/clock/accept", timeout=30)
        if status == 409:
            return False
        if status != 200:
            self.fail(f"clock accept: {status} {data[:300]}")
        self.clock.accepted()
        self.tally["clock", "accepted"] += 1
        return True

    def settle_clock(self, talk):
        """While nobody is at work."""
        status, _, data = talk.ask("GET", "/api/v1/admin/clock")
        shown = json.loads(data)
        latest = time.mktime(time.strptime(shown["latest_write"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        self.clock.settle(latest)

    # ------------------------------------------------------------------------------------------ backups

    def back_up(self, talk, number):
        place = self.scratch / f"backup-{number}-{int(time.monotonic() * 1000)}"
        place.mkdir()
        try:
            held, mailboxes, began = self.ledger.held(), self.every_mailbox(), time.monotonic()
            code, _, err = self.command("backup", str(place / "copy.db"))
            if code != 0:
                return
            ended = time.monotonic()
            there = place / "data"
            self.json("restore", str(place / "copy.db"), data=there)
            # Reading activities wants one, and a backup has none.
            self.json("license", "issue", "--holder", "chaos", data=there)
            found = self.json("check", data=there)
            if not found["ok"]:
                self.fail(f"a backup does not check: {found}")
            code, out, err = self.command("--json", "verify", data=there)
            if code != 0:
                self.fail(f"a backup does not verify: exit {code}, {out[:600]} {err[:300]}")
            second = Service(self, there)
            second.socket, second.listen = str(there / "mailtrail.sock"), self.service.listen
            second.start()
            try:
                said, rows = self.judge(clients.Talk(second, timeout=120), (began, ended), held, mailboxes)
                for what in said:
                    self.fail(f"restored: {what}")
                self.tally["backup", "rows restored"] += len(rows)
            finally:
                second.end(signal.SIGKILL)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    # ------------------------------------------------------------------------------------------ chaos

    def chaos(self, until):
        """Until then, one misfortune after another."""
        kinds = {
            "kill": 5, "term": 4, "freeze": 3, "kill at the start": 2, "seconds ahead": 3, "seconds back": 3, "days ahead": 2,
            "days ahead and down": 1, "accept": 1, "audit": 2, "a second one": 1,
        }
        while time.monotonic() < until and not self.failures:
            time.sleep(min(self.dice.uniform(0.5, self.given.every), max(0.0, until - time.monotonic())))
            kind = self.dice.choices(list(kinds), kinds.values())[0]
            self.tally["chaos", kind] += 1
            clock = self.clock
            if kind in ("kill", "term", "kill at the start"):
                self.restart(kind)
            elif kind == "freeze":
                self.service.process.send_signal(signal.SIGSTOP)
                time.sleep(self.dice.choice([0.1, 1, 3, 9]))
                self.service.process.send_signal(signal.SIGCONT)
            elif kind == "seconds ahead":
                clock.set(min(clock.offset + self.dice.randint(1, 900), MOST_AHEAD))
            elif kind == "seconds back":
                clock.set(clock.offset - self.dice.randint(1, 600))
            elif kind.startswith("days ahead"):
                before, days = clock.offset, self.dice.choice([1, 2, 3, 9])
                if before + days * model.DAY > MOST_AHEAD:
                    clock.set(self.dice.choice([0, before]))
                    continue
                if kind == "days ahead and down":
                    self.service.end(signal.SIGKILL)
                clock.set(before + days * model.DAY + self.dice.randint(0, 3600))
                if kind == "days ahead and down":
                    self.service.start()
                time.sleep(self.dice.uniform(0.2, 4))
                if self.dice.random() < 0.8:
                    clock.set(before)
            elif kind == "a second one":
                second = Service(self, self.data)
                second.spawn()
                url, code = second.url(120), second.process.wait(120)
                second.process.stdout.close()
                if url or code != 78:
                    self.fail(f"a second server beside the first: exit {code}, {url}")
            elif kind == "accept":
                with self.nobody_at_work():
                    self.accept_clock(self.talk)
            elif kind == "audit":
                with self.nobody_at_work():
                    self.settle_clock(self.talk)
                    self.examine_lists(self.talk)

    def restart(self, kind):
        code = self.service.end(signal.SIGTERM if kind == "term" else signal.SIGKILL)
        if kind == "term" and code != 0:
            self.fail(f"SIGTERM ended it with {code}: {self.service.log.read_text()[-600:]}")
        if kind == "kill at the start":
            for _ in range(self.dice.randint(1, 4)):
                process = self.service.spawn()
                time.sleep(self.dice.uniform(0, 0.3))
                process.kill()
                process.wait(60)
                process.stdout.close()
        time.sleep(self.dice.choice([0, 0, 0.5, 2]))
        self.service.start()

    def finish(self):
        """Everything, against everything."""
        if not self.service.address:
            self.service.start()
        talk = self.talk
        self.clock.set(max(self.clock.offset, 0))
        self.accept_clock(talk)
        self.settle_clock(talk)
        for _ in range(4):
            self.examine_lists(talk)
        said, rows = self.judge(talk)
        for what in said:
            self.fail(what)
        status, _, data = talk.ask("GET", "/api/v1/admin/stats")
        shown = json.loads(data)["workspaces"][0]["rows"]
        listed = talk.pages("/v1/enforcement/events", "events")
        if shown["enforcement"] != len(listed):
            self.fail(f"stats: {shown}, and {len(listed)} events")
        self.control(rows)
        for key in self.ledger.dead_keys:
            status, _, data = talk.ask("GET", "/v1/enforcement/events?limit=1", key=key)
            if status != 401:
                self.fail(f"a revoked key is answered: {status}")
        print(f"signed: {self.examine_pins()}", flush=True)
        for data, key in self.dice.sample(self.proofs, min(5, len(self.proofs))):
            file = self.scratch / "proof"
            file.write_bytes(data)
            code, out, err = self.command("--json", "verify", "--proof", str(file), "--key", key)
            if code != 0:
                self.fail(f"verify --proof: exit {code}, {out[:300]} {err[:300]}")
        for served in (True, False):
            if not served:
                code = self.service.end(signal.SIGTERM)
                if code != 0:
                    self.fail(f"SIGTERM ended it with {code}")
            found = self.json("check")
            if not found["ok"]:
                self.fail(f"check: {found}")
            pins = []
            if self.pinned and (self.scratch / "pins").exists():
                # Erasures and shorter days are among what the clients do.
                pins = ["--pin", str(self.scratch / "pins"), "--removals-seen", str(2**62)]
            code, out, err = self.command("--json", "verify", *pins)
            if code != 0:
                self.fail(f"verify: exit {code}, {out[:900]} {err[:600]}")
        log = self.service.log.read_text(errors="replace")
        for line in log.splitlines():
            if "panicked" in line or " ERROR " in line and not any(what in line for what in TOLD):
                self.fail(f"the server said: {line[:300]}")
        self.said.update(re.sub(r"\d[\d:.TZ-]*", "N", line)[:120] for line in log.splitlines() if " WARN " in line)
        return rows

    def control(self, rows):
        """Were these not told, nothing would be."""
        mark = next((mark for log, mark, _ in rows if log == "enforcement" and self.ledger.rows[log][mark].person is None), None)
        if mark is None:
            return
        row = next(found for found in rows if found[:2] == ("enforcement", mark))
        others = [found for found in rows if found is not row]
        changed = (row[0], row[1], row[2] | {"sent_count": -1})
        latest, held = self.clock.latest() - 365 * model.DAY, set()
        for found, kind in (
            (others, "lost"), ([*rows, row], "doubled"), ([*others, changed], "changed"), ([*rows, ("messages", "nobody's", {})], "nobody sent"),
        ):
            self.ledger.rows["enforcement"][mark].state = model.ACKNOWLEDGED
            if not any(what.startswith(kind) for what in self.ledger.judge(found, latest, held)):
                self.fail(f"the control was not told as {kind}: this harness cannot be believed")


def faketime():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        sys.exit("libfaketime is not there; Debian has it in the package faketime")
    return str(found[0])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=30)
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--rate", type=float, default=150, help="operations a second, of all clients")
    arguments.add_argument("--every", type=float, default=4, help="seconds at most from one misfortune to the next")
    arguments.add_argument("--seed", default=str(time.time_ns()))
    arguments.add_argument("--scratch", help="where to work; it is kept when something was wrong")
    given = arguments.parse_args()
    print(f"seed {given.seed}", flush=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="mailtrail-chaos-", dir=given.scratch))
    world = World(given, scratch)
    threads = [clients.Client(world, number) for number in range(given.clients)]
    try:
        for thread in threads:
            thread.start()
        try:
            world.chaos(time.monotonic() + given.seconds)
        finally:
            if world.service.process.poll() is None:
                world.service.process.send_signal(signal.SIGCONT)
            world.is_ending = True
            with world.turns:
                world.turns.notify_all()
            for thread in threads:
                thread.join(300)
                if thread.is_alive():
                    world.fail(f"{thread.name} does not end")
        if not world.failures:
            world.finish()
    finally:
        if world.service.process.poll() is None:
            world.service.process.kill()
            world.service.process.wait()
    for (name, what), n in sorted(world.tally.items()):
        print(f"{name:20} {what:20} {n:7}")
    for what, n in world.said.most_common(40):
        print(f"said {n:6}: {what}")
    for log, states in world.ledger.counted().items():
        print(f"{log:20} {dict(states)}")
    print("longest: " + ", ".join(f"{name} {took:.1f} s" for name, took in sorted(world.longest.items(), key=lambda pair: -pair[1])[:6]))
    if world.failures:
        print(f"{len(world.failures)} failures; seed {given.seed}; see {scratch}")
        sys.exit(1)
    shutil.rmtree(scratch)
    print("nothing lost, nothing doubled, nothing that must not be")


if __name__ == "__main__":
    main()
