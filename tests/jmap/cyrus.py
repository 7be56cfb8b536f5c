"""A Cyrus IMAP server with JMAP, in a scratch directory, as long as it is needed: another's reading of messages.

Debian's packages `cyrus-imapd` and `cyrus-caldav`; run as root, which Cyrus leaves for its own user.
"""

import base64
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.request

IMAPD = """\
configdirectory: {scratch}/config
proc_path: {scratch}/proc
mboxname_lockpath: {scratch}/lock
defaultpartition: default
partition-default: {scratch}/spool
altnamespace: yes
unixhierarchysep: yes
admins: admin
httpmodules: jmap
jmap_nonstandard_extensions: no
jmap_max_size_upload: 65536
jmap_max_size_request: 65536
conversations: yes
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN
syslog_prefix: mailtrail-test
sievedir: {scratch}/sieve
lmtpsocket: {scratch}/lmtp
idlesocket: {scratch}/idle
notifysocket: {scratch}/notify
"""

MASTER = """\
START {{
    recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C {scratch}/imapd.conf -r"
}}
SERVICES {{
    imap cmd="imapd -C {scratch}/imapd.conf" listen="127.0.0.1:{imap}" prefork=0
    http cmd="httpd -C {scratch}/imapd.conf" listen="127.0.0.1:{http}" prefork=0
}}
"""

USER, PASSWORD = "ann", "secret"


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


class Cyrus:
    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch) / "cyrus"
        self.scratch.mkdir()
        imap, self.port = free_port(), free_port()
        for name, text in [("imapd.conf", IMAPD), ("cyrus.conf", MASTER)]:
            (self.scratch / name).write_text(text.format(scratch=self.scratch, imap=imap, http=self.port))
        for name in ["config/db", "config/socket", "config/user", "proc", "lock", "spool", "sieve"]:
            (self.scratch / name).mkdir(parents=True)
        shutil.chown(scratch, "cyrus")
        for path in [self.scratch, *self.scratch.rglob("*")]:
            shutil.chown(path, "cyrus", "mail")
        config = ["-C", str(self.scratch / "imapd.conf")]
        as_cyrus = {"user": "cyrus", "group": "mail"}
        master = ["/usr/lib/cyrus/bin/master", *config, "-M", str(self.scratch / "cyrus.conf"), "-D"]
        master += ["-p", str(self.scratch / "master.pid")]
        self.log = open(self.scratch / "master.log", "wb")
        self.master = subprocess.Popen(master, stdout=self.log, stderr=self.log, **as_cyrus)
        self.create_user(imap)
        # The first call makes what an upload needs.
        self.call("Mailbox/get", {"accountId": USER})

    def create_user(self, port):
        for _ in range(200):
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), 10)
                break
            time.sleep(0.1)
        else:
            raise SystemExit("Cyrus does not listen")
        stream = connection.makefile("rwb")
        stream.readline()
        for tag, command in enumerate([f"LOGIN admin {PASSWORD}", f"CREATE user/{USER}", "LOGOUT"]):
            stream.write(f"{tag} {command}\r\n".encode())
            stream.flush()
            while not (line := stream.readline()).startswith(f"{tag} ".encode()):
                assert line, "the connection ended"
            assert line.startswith(f"{tag} OK".encode()), line
        connection.close()

    def request(self, path, body, media_type):
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": media_type}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def call(self, method, arguments):
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        call = {"using": using, "methodCalls": [[method, arguments, "0"]]}
        answer = self.request("/jmap/", json.dumps(call).encode(), "application/json")
        return answer["methodResponses"][0][1]

    def read(self, messages, properties):
        """What Cyrus makes of each message, in order; None where it makes nothing of it.

        They are imported: `Email/parse` of a message with a message in it reads the inner one here.
        """
        blobs = [
            self.request(f"/jmap/upload/{USER}/", raw, "message/rfc822")["blobId"] for raw in messages
        ]
        inbox = self.call("Mailbox/get", {"accountId": USER})["list"][0]["id"]
        emails = {
            str(at): {"blobId": blob, "mailboxIds": {inbox: True}} for at, blob in enumerate(blobs)
        }
        imported = self.call("Email/import", {"accountId": USER, "emails": emails})
        ids = {at: made["id"] for at, made in (imported.get("created") or {}).items()}
        for at, refused in (imported.get("notCreated") or {}).items():
            if refused.get("existingId"):
                ids[at] = refused["existingId"]
        arguments = {
            "accountId": USER,
            "ids": list(dict.fromkeys(ids.values())),
            "properties": properties,
            "fetchTextBodyValues": True,
        }
        found = {email["id"]: email for email in self.call("Email/get", arguments)["list"]}
        return [found.get(ids.get(str(at))) for at in range(len(blobs))]

    def stop(self):
        self.master.terminate()
        self.master.wait(30)
        self.log.close()
