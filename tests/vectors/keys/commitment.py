#!/usr/bin/env python3
"""Known answers of a key's commitment (src/store/key_commitment.hpp), from RFC 5869 and RFC 2104 by Python's hmac alone: prints kind, id, key, commitment."""
import hashlib
import hmac


def commitment(kind: bytes, name: bytes, key: bytes) -> bytes:
    prk = hmac.new(b"QANAT key commitment v1", key, hashlib.sha256).digest()  # HKDF-Extract(salt, key)
    return hmac.new(prk, kind + b"\0" + name, hashlib.sha256).digest()


for kind, name, key in ((b"working", bytes(range(16)) + b"\x01", bytes(range(32))), (b"link", b"\xaa" * 16, b"\x55" * 16),
                        (b"data", bytes(range(16)) + b"\0\0\0\x01", bytes(range(16)))):
    print(kind.decode(), name.hex(), key.hex(), commitment(kind, name, key).hex())
