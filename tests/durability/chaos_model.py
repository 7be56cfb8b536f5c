"""What the clients of chaos.py sent and were told, and what must therefore be there. It knows no server.

Every row has a mark that no other has; `judge` holds all that is shown against all that was sent. A row is
acknowledged, refused, or nobody knows: its answer was lost. A removed row must have been old enough for its owner's
days, by the latest time that any process may have seen, or erased; and its owner held by nobody.
"""

import collections
import threading

UNKNOWN, ACKNOWLEDGED, REFUSED = "unknown", "acknowledged", "refused"
DAY = 86400

# What is compared of a row, as it is shown. `...` is what the server chose.
FIELDS = {
    "enforcement": ("tenant_id", "mailbox_address", "action_taken", "sent_count", "limit_value", "created_at"),
    "messages": ("outcome", "reason", "sender_address", "recipient_address", "received_at", "message_hash"),
    "facts": ("message_id", "kind", "data"),
    "activity": ("user_id", "action", "metadata", "created_at"),
}


class Owner:
    """A tenant, a mailbox or a project: whose rows they are, and how long they are kept."""

    def __init__(self, kind, id, days, address=None):
        self.kind, self.id, self.address = kind, id, address
        # The fewest that may ever have been in force.
        self.days = days


class Row:
    __slots__ = ("log", "owner", "mark", "want", "at", "state", "person", "batch", "begun", "done", "by")

    def __init__(self, log, owner, mark, want, at, person=None):
        self.log, self.owner, self.mark, self.at, self.person = log, owner, mark, at, person
        self.want = tuple(want[name] for name in FIELDS[log])
        self.state, self.batch, self.begun, self.done = UNKNOWN, None, 0.0, None
        # How the name of whoever recorded it begins.
        self.by = "operator"

    def differs(self, shown):
        """What is shown otherwise than it was sent."""
        pairs = zip(FIELDS[self.log], self.want)
        other = {name: (want, shown.get(name)) for name, want in pairs if want is not ... and shown.get(name) != want}
        if not str(shown.get("recorded_by")).startswith(self.by):
            other["recorded_by"] = self.by, shown.get("recorded_by")
        return other


class Person:
    """Whose address stands in rows, until it is erased from them."""

    def __init__(self, address):
        self.address, self.rows = address, []
        self.erasing = self.erased = False
        # Marks that a hold kept while they were erased.
        self.kept = set()


class Hold:
    """A legal hold on one owner: what was there when it was acknowledged, and what was recorded since. A tenant's
    covers the messages of its mailbox, a mailbox's the events with its address."""

    def __init__(self, owner, mailbox):
        self.owner, self.mailbox = owner, mailbox
        # Whether it surely holds, and whether it may.
        self.is_on = self.may_be = False
        self.kept = set()

    def covers(self, row):
        if row.owner is self.owner:
            return True
        if self.owner.kind == "tenant":
            return row.owner is self.mailbox
        return self.owner.kind == "mailbox" and row.log == "enforcement" and row.want[1] == self.mailbox.address


class Limited:
    """A mailbox with a daily limit, and every decision about its sends."""

    def __init__(self, owner, limit):
        self.owner, self.limit = owner, limit
        # (era, first and last day it may have been, count after it, recipients, what was said)
        self.decisions, self.unknown = [], []

    def problems(self, events):
        """`events`: what was done, in the order of recording."""
        said = []
        for before, after in zip(["unblocked", *events], events):
            if before == after:
                said.append(f"{self.owner.address}: {after} twice in a row, of {len(events)} events")
                break
        blocked = sum(what == "blocked" for *_, what in self.decisions)
        if blocked and "blocked" not in events:
            said.append(f"{self.owner.address}: {blocked} sends were refused, and no event says so")
        days, unsure = collections.defaultdict(list), collections.Counter()
        for era, first, last, end, n, what in self.decisions:
            if what != "allowed":
                continue
            if end > self.limit:
                said.append(f"{self.owner.address}: the {end}th was allowed, of {self.limit}")
            if first == last:
                days[era, first].append((end - n, end))
            else:
                unsure[era] += n
        for era, n in self.unknown:
            unsure[era] += n
        first_of_era = {era: min(day for other, day in days if other == era) for era, _ in days}
        for (era, day), stretches in days.items():
            stretches.sort()
            gaps, reached = stretches[0][0], 0
            for (start, end), (following, _) in zip(stretches, stretches[1:]):
                reached = max(reached, end)
                if following < reached:
                    said.append(f"{self.owner.address}: two sends of day {day} have the number {following + 1}")
                gaps += max(0, following - reached)
            total = sum(end - start for start, end in stretches)
            if total > self.limit:
                said.append(f"{self.owner.address}: {total} allowed in day {day}, of {self.limit}")
            # A day that was put back goes on with the count it had.
            if gaps > unsure[era] and not (era and day == first_of_era[era]):
                said.append(f"{self.owner.address}: {gaps} of day {day} are counted that nobody sent")
        return said


def rate_problems(entries, per_hour):
    """`entries` of a mailbox in the order of recording: (recorded_at, outcome, sender). What a rule delivered within an hour."""
    delivered, said = [], []
    for at, outcome, sender in entries:
        # Recorded times are whole seconds, the rule's hour is not.
        surely = sum(at - 3598 <= other <= at for other in delivered)
        maybe = sum(at - 3601 <= other <= at + 1 for other in delivered)
        if outcome == "delivered":
            if surely >= per_hour:
                said.append(f"{surely + 1} of {sender} delivered in the hour before {at}, of {per_hour}")
            delivered.append(at)
        elif outcome == "rate_limited" and maybe < per_hour:
            said.append(f"one of {sender} refused at {at} after {maybe} in the hour, of {per_hour}")
        # Times only rise, but for a clock that was accepted.
        if len(delivered) > 4 * per_hour:
            del delivered[: 2 * per_hour]
    return said


class Ledger:
    """Every row that was sent."""

    def __init__(self):
        self.rows = {log: {} for log in FIELDS}
        self.people, self.holds, self.limited = [], [], {}
        # Rows by owner that stay, in the order of their acknowledgement.
        self.standing = collections.defaultdict(list)
        # Acts of administration that were acknowledged, and those nobody knows of: (action, target) or (action, name).
        self.acts = []
        self.dead_keys = []
        self.turn = threading.Lock()

    def add(self, rows, now):
        batch = object() if len(rows) > 1 else None
        for row in rows:
            row.begun, row.batch = now, batch
            self.rows[row.log][row.mark] = row
            if row.person:
                row.person.rows.append(row)

    def settle(self, rows, state, now, holds):
        """`holds`: the ones of the client that sent them; nobody else records for their owners."""
        for row in rows:
            row.state, row.done = state, now
            if state == ACKNOWLEDGED and row.person is None and row.log != "facts":
                self.standing[row.owner].append(row)
        if state == ACKNOWLEDGED:
            for hold in holds:
                if hold.is_on:
                    hold.kept |= {row.mark for row in rows if hold.covers(row)}

    def held(self):
        return {mark for hold in self.holds if hold.is_on for mark in hold.kept}

    def judge(self, found, latest, held, only_before=None):
        """What is wrong with all that is `found`: (log, mark, shown) of every row, or (log, None, shown) of one that
        nobody is known to have sent. `only_before` is when a backup was begun and done: what was acknowledged earlier is in it, what was sent later
        is not."""
        said, n_told = [], collections.Counter()

        def tell(kind, what):
            n_told[kind] += 1
            if n_told[kind] <= 3:
                said.append(f"{kind}: {what}")

        seen = collections.Counter()
        for log, mark, shown in found:
            row = self.rows[log].get(mark)
            if row is None:
                tell("nobody sent", f"{log} {shown}")
                continue
            seen[log, mark] += 1
            if seen[log, mark] > 1:
                tell("doubled", f"{log} {mark} {row.state}")
            if different := row.differs(shown):
                tell("changed", f"{log} {mark}: {different}")
        batches = collections.defaultdict(set)
        for log, rows in self.rows.items():
            # Clients go on while a backup is looked at.
            for mark, row in list(rows.items()):
                n_seen = seen[log, mark]
                if only_before is not None:
                    began, ended = only_before
                    if row.begun > ended and n_seen:
                        tell("from later", f"{log} {mark}")
                    if row.done is None or row.done > began:
                        continue
                is_old = row.owner.days is not None and row.at <= latest - row.owner.days * DAY
                is_erased = row.person is not None and row.person.erasing
                may_go = (is_old or is_erased) and mark not in held
                if row.state == ACKNOWLEDGED and not n_seen and not may_go:
                    tell("lost", f"{log} {mark} of {row.owner.kind} {row.owner.id}{' (held)' if mark in held else ''}")
                if row.state == REFUSED and n_seen:
                    tell("recorded though refused", f"{log} {mark}")
                if is_erased and row.person.erased and n_seen and mark not in row.person.kept and only_before is None:
                    tell("not erased", f"{log} {mark} of {row.person.address}, {row.state}")
                if row.batch is not None and not may_go and row.state == UNKNOWN:
                    batches[row.batch].add(bool(n_seen))
        for whole in batches.values():
            if len(whole) == 2:
                tell("half of a batch", "")
        said += [f"{kind}: {n} in all" for kind, n in n_told.items() if n > 3]
        return said

    def counted(self):
        return {log: collections.Counter(row.state for row in rows.values()) for log, rows in self.rows.items()}
