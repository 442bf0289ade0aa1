#!/usr/bin/env python3
"""Known answers of the keys that gateways are given (docs/protocol/qfc2.md): for both uses and both suites, from fixed inputs.

    generate.py            writes gateway.json beside this file
    generate.py --check    makes it again and compares; status 1 if the file differs

Python's standard library and tests/vectors/qfc2/symmetric.py alone: no code in common with the program.
"""

import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qfc2"))
import symmetric  # noqa: E402

LABELS = {"ppk": b"QFCI-v2 ppk\0", "wireguard_psk": b"QFCI-v2 wireguard psk\0"}
SUITES = {"GM-hybrid": (symmetric.sm3, 64), "INTL-hybrid": (symmetric.sha384, 128)}
INITIATOR, RESPONDER = "qanat://a/dev1/gw-a", "qanat://b/dev1/gw-b"


def expand_one(suite, key, info):
    """HKDF-Expand (RFC 5869) of at most one block."""
    function, block = SUITES[suite]
    return symmetric.hmac(function, block, key, info + b"\1")[:32]


def answers():
    key = hashlib.shake_256(b"qanat known answers/gateway/key").digest(32)
    key_id = hashlib.shake_256(b"qanat known answers/gateway/key id").digest(16)
    names = b"".join(bytes([len(uri)]) + uri.encode() for uri in (INITIATOR, RESPONDER))
    out = {"key": key.hex(), "key_id": key_id.hex(), "initiator": INITIATOR, "responder": RESPONDER}
    for suite in SUITES:
        out[suite] = {use: expand_one(suite, key, label + key_id + names).hex() for use, label in LABELS.items()}
    return json.dumps(out, indent=2) + "\n"


if __name__ == "__main__":
    assert symmetric.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"  # GB/T 32905 A.1
    file = HERE / "gateway.json"
    if "--check" in sys.argv:
        sys.exit(file.read_text() != answers())
    file.write_text(answers())
