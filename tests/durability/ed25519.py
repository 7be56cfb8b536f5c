"""Ed25519 of RFC 8032, verifying alone, slow and in the open: for harnesses that bring nothing but Python.

tests/proof/tlog.py takes the package `cryptography`; where it is missing, `stand_in()` gives it this.
"""

import hashlib
import sys
import types

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    """Section 5.1.4, in extended coordinates."""
    c, d = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    e, f = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    g, h, i, j = d - c, f - e, f + e, d + c
    return g * h % P, i * j % P, h * i % P, g * j % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def point_of(data):
    """Section 5.1.3; None for what is no point."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def verify(public, signature, message):
    """Section 5.1.7."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r, s = point_of(public), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    one, other = times(s, BASE), add(r, times(k, key))
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


class InvalidSignature(Exception):
    pass


class Ed25519PublicKey:
    def __init__(self, public):
        self.public = public

    @classmethod
    def from_public_bytes(cls, public):
        return cls(public)

    def verify(self, signature, message):
        if not verify(self.public, signature, message):
            raise InvalidSignature


def stand_in():
    """Lets `cryptography` be imported, as far as tlog.py needs it."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError:
        names = {
            "cryptography": {},
            "cryptography.exceptions": {"InvalidSignature": InvalidSignature},
            "cryptography.hazmat": {},
            "cryptography.hazmat.primitives": {},
            "cryptography.hazmat.primitives.asymmetric": {},
            "cryptography.hazmat.primitives.asymmetric.ed25519": {"Ed25519PublicKey": Ed25519PublicKey},
        }
        for name, members in names.items():
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__dict__.update(members)
