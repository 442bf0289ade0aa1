#!/usr/bin/env python3
"""Known answers of group calls (docs/protocol/group.md): names, keys and the unsigned octets of the three messages, for both suites.

    generate.py            writes group.json beside this file
    generate.py --check    makes it again and compares; status 1 if the file differs

Written from the document. Python's standard library and the primitives in tests/vectors/qfc2 alone: no code in common with the program.
"""

import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qfc2"))
from messages import SUITES, opaque, u8, u32, u64  # noqa: E402
from symmetric import SM3  # noqa: E402

EPOCH, POLICY_EPOCH, TS = 3, 7, 1_767_225_600_000
OWNER, LEFT = "+8655110000001", "+8655110000009"
ROSTER = [("+8655110000001", "kms-a"), ("+8655110000003", "kms-a"), ("+8655120000002", "kms-b")]


def drawn(suite, name, size):
    return hashlib.shake_256(f"qanat known answers/group/{suite.number:04x}/{name}".encode()).digest(size)


def header(suite, kind, body_len):
    return b"QFC2" + u8(2) + u8(kind) + suite.number.to_bytes(2, "big") + u32(body_len) + u32(POLICY_EPOCH)


def message(suite, kind, body):
    return header(suite, kind, len(body)) + body


def numbers(those):
    return u8(len(those)) + b"".join(opaque(number, 32) for number in those)


def answers_of(suite):
    h, dg = suite.hash, suite.hash.size
    group, nonce, drawn_r = (drawn(suite, name, 32) for name in ("group", "nonce", "r"))
    carriers = [(drawn(suite, f"carrier wk {i}", 32), drawn(suite, f"carrier sid {i}", 16)) for i in range(2)]
    h_accept, kc_a, token_ref, h_req = (drawn(suite, name, dg) for name in ("h_accept", "kc_a", "token_ref", "h_req"))
    fps = drawn(suite, "fps", 2 * dg)
    epoch_nonce = drawn(suite, "epoch nonce", 16)
    which = group + u32(EPOCH) + epoch_nonce
    roster = opaque(OWNER, 32) + u8(len(ROSTER)) + b"".join(opaque(number, 32) + opaque(kms, 64) for number, kms in ROSTER)

    mixes = [h.expand(wk, b"QFCI-v2 group mix\0" + sid, 32) for wk, sid in carriers]

    def epoch_key(count):
        prk = h.extract(h.digest(b"QFCI-v2 group draw\0" + which), drawn_r + b"".join(mixes[:count]))
        return h.expand(prk, b"QFCI-v2 group wk\0" + which, 32)

    wk = epoch_key(2)
    carrier_wk, carrier_sid = carriers[0]
    key = h.expand(carrier_wk, b"QFCI-v2 group carry key\0" + carrier_sid + h_accept, suite.aead_key)
    iv = h.expand(carrier_wk, b"QFCI-v2 group carry iv\0" + carrier_sid + h_accept, 12)
    before = carrier_sid + h_accept + kc_a + which + roster + u8(3) + u8(1) + u8(2)
    front = header(suite, 0x39, len(before) + 48) + before
    context = which + h.digest(b"QFCI-v2 group roster\0" + roster)
    early = h.extract(b"\0" * dg, wk)
    media = {
        number: {
            "key": h.expand(early, b"QFCI-v2 group media key\0" + context + opaque(number, 32), suite.aead_key),
            "salt": h.expand(early, b"QFCI-v2 group media salt\0" + context + opaque(number, 32), 12),
        }
        for number, _ in ROSTER
    }
    whole_name = h.digest(b"QFCI-v2 group epoch\0" + which)
    epoch_name = whole_name[:16]
    request = group + u8(2) + u32(EPOCH) + opaque("alice", 64) + opaque(OWNER, 32) + opaque("kms-a", 64) + nonce + u64(TS) + u8(2) + token_ref + fps
    state = h_req + which + opaque("alice", 64) + opaque("kms-a", 64) + u64(TS) + roster + numbers([LEFT]) + fps
    member = ROSTER[2][0]
    return {
        "suite": suite.number, "policy_epoch": POLICY_EPOCH, "epoch": EPOCH, "ts_ms": TS, "owner": OWNER, "left": LEFT,
        "numbers": [number for number, _ in ROSTER], "kmss": [kms for _, kms in ROSTER],
        "group": group, "nonce": nonce, "r": drawn_r, "h_accept": h_accept, "kc_a": kc_a, "token_ref": token_ref, "h_req": h_req,
        "fp_classical": fps[:dg], "fp_pq": fps[dg:],
        "carrier_wk_0": carriers[0][0], "carrier_sid_0": carriers[0][1], "carrier_wk_1": carriers[1][0], "carrier_sid_1": carriers[1][1],
        "sid_wk": h.digest(b"QFCI-v2 group sid wk\0" + which + opaque(member, 32))[:16],
        "sid_call": SM3.digest(opaque("QFCI-v2 sid call", 255) + opaque(OWNER, 255) + opaque(member, 255) + opaque(whole_name, 255)),
        "epoch_name": epoch_name, "epoch_nonce": epoch_nonce,
        "mix_0": mixes[0], "mix_1": mixes[1], "wk_without_carriers": epoch_key(0), "wk": wk, "media": media,
        "group_key": front + suite.seal(key, iv, front, wk),
        "group_request": message(suite, 0x34, request + numbers([LEFT])), "group_state": message(suite, 0x3B, state),
    }  # fmt: skip


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return value


def answers():
    return json.dumps({"suites": [plain(answers_of(suite)) for suite in SUITES]}, indent=1) + "\n"


if __name__ == "__main__":
    assert SM3.digest(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"  # GB/T 32905 A.1
    file = HERE / "group.json"
    if "--check" in sys.argv:
        sys.exit(file.read_text() != answers())
    file.write_text(answers())
