"""Profile v2's messages and key schedule, written from docs/protocol/qfc2.md and not from the C++ code."""

from dataclasses import dataclass
from typing import Callable

import curves
import mldsa
import mlkem
from symmetric import SHA384, SM3, Aes256, HashSuite, Sm4, gcm_seal

MAGIC = b"QFC2"


@dataclass(frozen=True)
class Suite:
    number: int
    name: str
    hash: HashSuite
    curve: curves.Curve
    dsa: mldsa.MlDsa
    kem: mlkem.MlKem
    cipher: Callable
    aead_key: int
    classical_sign: Callable

    def seal(self, key, iv, associated, plaintext):
        return gcm_seal(self.cipher(key), iv, associated, plaintext)


SUITES = (
    Suite(0x0201, "GM-hybrid", SM3, curves.SM2, mldsa.ML_DSA_65, mlkem.ML_KEM_768, Sm4, 16, curves.sm2_sign),
    Suite(0x0202, "INTL-hybrid", SHA384, curves.P384, mldsa.ML_DSA_87, mlkem.ML_KEM_1024, Aes256, 32, curves.ecdsa_sign),
)

TYPES = {
    "Enrol": 0x01,
    "EnrolDeliver": 0x02,
    "EnrolReceipt": 0x03,
    "KeyRequest": 0x04,
    "ChargeRequest": 0x05,
    "Token": 0x06,
    "SessionOpen": 0x07,
    "SessionNotify": 0x08,
    "KmsOffer": 0x09,
    "KeyDeliver": 0x0B,
    "AX1": 0x0C,
    "ChargeDeliver": 0x15,
    "SessionGrant": 0x17,
    "KmsAccept": 0x19,
    "DeliverAck": 0x1B,
    "AX2": 0x1C,
    "ChargeReceipt": 0x25,
    "DirectoryOpen": 0x27,
    "KmsConfirm": 0x29,
    "AX3": 0x2C,
    "Directory": 0x37,
    "DirectoryPage": 0x47,
    "SupplyOffer": 0x69,
    "SupplyAccept": 0x79,
    "Reject": 0xEE,
}


def u8(x):
    return x.to_bytes(1, "big")


def u16(x):
    return x.to_bytes(2, "big")


def u32(x):
    return x.to_bytes(4, "big")


def u64(x):
    return x.to_bytes(8, "big")


def opaque(octets, largest):
    """<..largest>"""
    if isinstance(octets, str):
        octets = octets.encode()
    assert len(octets) <= largest
    return (u8 if largest <= 255 else u16)(len(octets)) + octets


def header(suite, label, body_len, epoch):
    return MAGIC + u8(2) + u8(TYPES[label]) + u16(suite.number) + u32(body_len) + u32(epoch)


def to_be_signed(label, content, fps):
    return MAGIC + u8(1) + u8(len(label)) + label.encode() + content + fps


def sealed_field(suite, label, epoch, before, after, key, iv, plaintext, largest):
    """header || body of a message with one sealed field; the seal's associated data is everything in front of it."""
    prefix = 1 if largest <= 255 else 2
    body_len = len(before) + prefix + len(plaintext) + 16 + len(after)
    front = header(suite, label, body_len, epoch) + before
    return front + opaque(suite.seal(key, iv, front, plaintext), largest) + after


def whole(suite, label, epoch, body):
    return header(suite, label, len(body), epoch) + body


# ---- key schedule ----


def kem_digest(suite, kem):
    return suite.hash.digest(kem["ct_ml_kem"] + kem["ct_classical"] + kem["ek_ml_kem"] + kem["ek_point"])


def hybrid_secret(suite, kem, context):
    h = suite.hash
    prk = h.extract(h.digest(b"QFCI-v2 hkem\0" + u16(suite.number)), kem["ss_ml_kem"] + kem["ss_classical"])
    return h.expand(prk, b"QFCI-v2 hkem out\0" + u16(suite.number) + kem_digest(suite, kem) + h.digest(context), 32)


def mix_ephemeral(suite, ss, kem):
    h = suite.hash
    return h.expand(h.extract(ss, kem["ss_ml_kem"] + kem["ss_classical"]), b"QFCI-v2 hkem eph\0" + kem_digest(suite, kem), 32)


def mix_injected(suite, ss, key, index, h_req):
    h = suite.hash
    return h.expand(h.extract(key, ss), b"QFCI-v2 hkem inj\0" + u32(index) + h_req, 32)


def charged_mac(suite, key, label, covered):
    h = suite.hash
    return h.hmac(h.expand(h.extract(b"", key), label, 32), covered)


def mix_distribution(suite, ss, key, index, h_req):
    h = suite.hash
    return h.expand(h.extract(key, ss), b"QFCI-v2 charge inj\0" + u32(index) + h_req, 32)


def charge_payload(charged, origin, sets):
    """sets: three of (first index, [keys])."""
    head = u8(charged) + u8(origin) + b"".join(u32(first) + u16(len(keys)) for first, keys in sets)
    return head + b"".join(key for _, keys in sets for key in keys)


def charge_file(suite, transport, medium, charge, generation, made_ms, payload):
    h = suite.hash
    front = b"QCHG" + u8(1) + u16(suite.number) + medium + charge + u32(generation) + u64(made_ms)
    key, iv = key_and_iv(suite, h.extract(b"", transport), "charge", front)
    return front + suite.seal(key, iv, front, payload)


def next_transport(suite, transport):
    return suite.hash.expand(suite.hash.extract(b"", transport), b"QFCI-v2 charge next\0", 32)


def key_and_iv(suite, secret, name, context):
    h = suite.hash
    return (
        h.expand(secret, f"QFCI-v2 {name} key\0".encode() + context, suite.aead_key),
        h.expand(secret, f"QFCI-v2 {name} iv\0".encode() + context, 12),
    )


def step9(suite, th9, k_q, kem, sid_wk, sid_call):
    h = suite.hash
    prk = h.extract(th9, k_q + kem["ss_ml_kem"] + kem["ss_classical"])
    confirm = h.expand(prk, b"QFCI-v2 kc\0" + sid_wk, 32)
    return h.expand(prk, b"QFCI-v2 wk\0" + sid_wk + sid_call, 32), h.hmac(confirm, b"\1" + th9), h.hmac(confirm, b"\2" + th9)


def early_secret(suite, wk):
    return suite.hash.extract(b"\0" * 32, wk)


def handshake_secret(suite, early, kem):
    h = suite.hash
    return h.extract(h.expand(early, b"QFCI-v2 derived\0" + h.digest(b""), h.size), kem["ss_ml_kem"] + kem["ss_classical"])


def master_secret(suite, handshake, th3):
    h = suite.hash
    return h.extract(h.expand(handshake, b"QFCI-v2 derived\0" + th3, h.size), b"\0" * 32)


def media(suite, secret, kind, context):
    h = suite.hash
    out = {}
    for side in "ir":
        out[f"{kind}_{side}_key"] = h.expand(secret, f"QFCI-v2 {kind} {side} key\0".encode() + context, suite.aead_key)
        out[f"{kind}_{side}_salt"] = h.expand(secret, f"QFCI-v2 {kind} {side} salt\0".encode() + context, 12)
    return out


def wk_fingerprint(suite, wk):
    h = suite.hash
    return h.digest(b"QFCI-v2 fp\0" + h.expand(early_secret(suite, wk), b"QFCI-v2 fp", 32))[:8]


def sid_call(caller, callee, nonce):
    return SM3.digest(opaque("QFCI-v2 sid call", 255) + opaque(caller, 255) + opaque(callee, 255) + opaque(nonce, 255))


def key_id(suite, key):
    return suite.hash.digest(b"QFCI-v2 kid\0" + key["ml_kem"] + key["point"])


# ---- keys for SAEs ----


class Supply:
    def __init__(self, suite, transcript, k_q, kem, supply_id):
        self.hash, self.transcript, self.id = suite.hash, transcript, supply_id
        self.prk = suite.hash.extract(transcript, k_q + kem["ss_ml_kem"] + kem["ss_classical"])

    def batch(self, index):
        return self.hash.digest(b"QFCI-v2 supply batch\0" + self.id + u8(index))[:12]

    def key(self, index, number):
        return self.hash.expand(self.prk, b"QFCI-v2 supply key\0" + self.id + self.batch(index) + u32(number), 32)

    def confirmation(self):
        return self.hash.hmac(self.hash.expand(self.prk, b"QFCI-v2 supply kc\0" + self.id, 32), b"\2" + self.transcript)


def sae_key(suite, stock, key_id, master, slaves, size):
    names = opaque(master, 256) + u8(len(slaves)) + b"".join(opaque(slave, 256) for slave in slaves)
    return suite.hash.expand(stock, b"QFCI-v2 sae key\0" + key_id + names, size)
