"""Makes messages: MIME as it may be, with folding, comments and quotes wherever RFC 5322 and 2045 let them stand."""

import base64
import quopri

WORDS = "invoice lunch café straße Grüße 你好 ハロー привет שלום noon 100% =3D --x From: . ..".split()
CHARSETS = {
    "us-ascii": "ascii", "utf-8": "utf-8", "iso-8859-1": "latin-1", "iso-8859-2": "iso8859-2", "windows-1252": "cp1252",
    "koi8-r": "koi8-r", "iso-2022-jp": "iso2022_jp", "gb2312": "gb2312", "big5": "big5", "euc-kr": "euc_kr",
    "shift_jis": "shift_jis", "windows-1251": "cp1251", "utf-16be": "utf-16-be",
}
EXTENSIONS = ["pdf", "png", "bin"]


class Maker:
    def __init__(self, chance):
        self.chance = chance
        self.boundaries = 0

    def maybe(self, share=0.5):
        return self.chance.random() < share

    def space(self, at_least=""):
        """What may stand between two words of a structured field."""
        kinds = ["", " ", "\t", "\r\n ", " (a)", "(b (c)) ", " \r\n\t(\\))\r\n "]
        found = self.chance.choice(kinds) if self.maybe(0.4) else ""
        return found or at_least

    def token(self, text):
        """A value in quotes or without."""
        if any(c in ' ()<>@,;:\\"/[]?=' for c in text) or self.maybe(0.5):
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return text

    def case(self, text):
        return self.chance.choice([text, text.upper(), text.title()])

    def field(self, name, value):
        return f"{self.case(name)}:{self.chance.choice([' ', '', ' ', chr(13) + chr(10) + ' '])}{value}\r\n"

    def word(self):
        return self.chance.choice("abcdefgh") + str(self.chance.randrange(1000))

    def address(self):
        local = self.chance.choice([self.word(), f"{self.word()}.{self.word()}", "ann b", "o'neil+x"])
        local = f'"{local}"' if " " in local or self.maybe(0.2) else local
        domain = self.chance.choice(["example.org", "Mail.Example.COM", "[192.0.2.1]"])
        return f"{local}{self.space()}@{self.space()}{domain}"

    def mailbox(self):
        address = self.address()
        if self.maybe(0.3):
            return f"{self.space()}{address}{self.space()}"
        name = self.chance.choice(["Ann", "Ann Lee", '"Lee, Ann"', '"a@b.c"', "=?utf-8?q?J=C3=B6rg?=", ""])
        route = "@r.example,@s.example:" if self.maybe(0.05) else ""
        return f"{name}{self.space(' ' if name else '')}<{route}{self.space()}{address}{self.space()}>{self.space()}"

    def identifier(self):
        return f"{self.word()}.{self.word()}@example.org"

    def bracketed(self, identifier):
        return f"{self.space()}<{identifier}>{self.space()}"

    def text(self):
        lines = []
        for _ in range(self.chance.randrange(6)):
            lines.append(" ".join(self.chance.choice(WORDS) for _ in range(self.chance.randrange(12))))
        return "\r\n".join(lines) + self.chance.choice(["", "\r\n"])

    def content_type(self, main, sub, parameters):
        text = f"{self.space()}{self.case(main)}{self.space()}/{self.space()}{self.case(sub)}{self.space()}"
        for name, value in parameters:
            text += f";{self.space()}{self.case(name)}{self.space()}={self.space()}{self.token(value)}{self.space()}"
        return self.field("content-type", text)

    def leaf(self, sub):
        """A text part: its header and its bytes."""
        text = self.text()
        fitting = []
        for label, codec in CHARSETS.items():
            try:
                fitting.append((label, text.encode(codec)))
            except UnicodeError:
                pass
        label, raw = self.chance.choice(fitting)
        parameters = [("charset", self.case(label))]
        if self.maybe(0.3):
            parameters.append(("x-note", self.chance.choice(["a;b", "boundary=x", "c"])))
        self.chance.shuffle(parameters)
        header = self.content_type("text", sub, parameters)
        needs = label in ["utf-16be"] or any(len(line) > 998 for line in raw.split(b"\n")) or b"\0" in raw
        coding = self.chance.choice(["base64"] if needs else ["", "7bit", "8bit", "base64", "quoted-printable"])
        if coding == "base64":
            raw = base64.encodebytes(raw).replace(b"\n", b"\r\n")
        elif coding == "quoted-printable":
            # Line ends stay.
            lines = raw.split(b"\r\n")
            raw = b"\r\n".join(quopri.encodestring(line, quotetabs=True).replace(b"\n", b"\r\n") for line in lines)
        if coding:
            header += self.field("content-transfer-encoding", f"{self.space()}{self.case(coding)}{self.space()}")
        return header, raw

    def attachment(self):
        main, sub = self.chance.choice([("application", "pdf"), ("image", "png"), ("text", "plain"), ("message", "rfc822")])
        name = f"file.{self.chance.choice(EXTENSIONS)}"
        header = self.content_type(main, sub, [("name", name)] if self.maybe() else [])
        disposition = self.chance.choice(["attachment", "attachment", "inline"])
        filename = f"; filename={self.token(name)}" if self.maybe() else ""
        header += self.field("content-disposition", f"{self.case(disposition)}{filename}")
        if main == "message":
            return header, b"Subject: inner\r\n\r\ninner text\r\n"
        return header + self.field("content-transfer-encoding", "base64"), base64.encodebytes(b"x" * 100).replace(b"\n", b"\r\n")

    def multipart(self, depth):
        self.boundaries += 1
        sub = self.chance.choice(["mixed", "mixed", "alternative", "related", "signed", "digest"])
        boundary = self.chance.choice(["=_", "----=_Part ", "sep", "a'b"]) + f"{self.boundaries}x"
        header = self.content_type("multipart", sub, [("boundary", boundary)])
        body = self.chance.choice([b"", b"preamble\r\n", b"\r\n"])
        parts = []
        if sub == "alternative":
            parts = [self.leaf("plain"), self.leaf("html")][self.chance.randrange(2) :]
        for _ in range(self.chance.randrange(1, 4) - len(parts)):
            parts.append(self.part(depth + 1))
        for part_header, raw in parts or [self.leaf("plain")]:
            padding = self.chance.choice([b"", b" ", b"\t "])
            body += b"--" + boundary.encode() + padding + b"\r\n" + part_header.encode() + b"\r\n" + raw + b"\r\n"
        body += b"--" + boundary.encode() + b"--\r\n" + self.chance.choice([b"", b"epilogue\r\n"])
        return header, body

    def part(self, depth):
        roll = self.chance.random()
        if roll < 0.3 and depth < 5:
            return self.multipart(depth)
        if roll < 0.45:
            return self.attachment()
        return self.leaf(self.chance.choice(["plain", "plain", "html"]))

    def subject(self):
        """Words, plain and encoded (RFC 2047), folded."""
        words = []
        for _ in range(self.chance.randrange(1, 5)):
            word = self.chance.choice(["invoice", "café", "Grüße aus", "你好", "a_b", "100%", "привет"])
            fitting = [label for label, codec in CHARSETS.items() if can_encode(word, codec) and label != "utf-16be"]
            label = self.chance.choice(fitting)
            raw = word.encode(CHARSETS[label])
            if word.isascii() and self.maybe():
                words.append(word)
            elif self.maybe():
                words.append(f"=?{self.case(label)}?{self.case('b')}?{base64.b64encode(raw).decode()}?=")
            else:
                quoted = "".join(f"={byte:02X}" if not 47 < byte < 58 and not 96 < byte < 123 else chr(byte) for byte in raw)
                words.append(f"=?{self.case(label)}?{self.case('q')}?{quoted.replace('=20', '_')}?=")
        return self.chance.choice([" ", "\r\n ", "\r\n\t", "  "]).join(words)

    def delivery(self):
        """What a server of ours writes above all else."""
        name = self.chance.choice(["delivered-to", "delivered-to", "x-original-to", "envelope-to"])
        received = self.field("received", "from a.example (b [192.0.2.1]) by c.example; Fri, 1 Mar 2024 10:00:00 +0000")
        return self.field(name, f"{self.space()}{self.address()}{self.space()}") + received

    def message(self):
        fields = [
            self.field("from", ",".join(self.mailbox() for _ in range(self.chance.randrange(1, 3)))),
            self.field("message-id", self.bracketed(self.identifier())),
            self.field("subject", self.subject()),
            self.field("mime-version", "1.0"),
        ]
        if self.maybe():
            fields.append(self.field("references", " ".join(self.bracketed(self.identifier()) for _ in range(3))))
        if self.maybe(0.3):
            fields.append(self.field("in-reply-to", self.bracketed(self.identifier())))
        header, body = self.part(0) if self.maybe(0.3) else self.multipart(0)
        fields.append(header)
        self.chance.shuffle(fields)
        return (self.delivery() if self.maybe() else "").encode() + "".join(fields).encode() + b"\r\n" + body


def can_encode(word, codec):
    try:
        return bool(word.encode(codec))
    except UnicodeError:
        return False


def message(chance):
    return Maker(chance).message()
