#!/usr/bin/env python3
"""Writes csa.json beside this script: known answers for what the CSA seals and proves (docs/operations/csa.md).

SM4-GCM, AES-256-GCM and HMAC-SM3 are those of ../qfc2/symmetric.py, which share no code with the program; HMAC over SHA-2 is Python's; the hybrid KEM is that
of ../qfc2. The formats are put together here. SM4-GCM is held against RFC 8998, A.1 first. Everything is fixed, so a run changes nothing.
"""
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qfc2"))
import curves  # noqa: E402
import symmetric  # noqa: E402
from messages import SUITES, hybrid_secret  # noqa: E402

KEY_ID = bytes(range(0xA0, 0xB0))
RFC8998 = {
    "key": "0123456789abcdeffedcba9876543210",
    "iv": "00001234567800000000abcd",
    "aad": "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    "plaintext": "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddeeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    "ciphertext": "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d",
    "tag": "83de3541e4c2b58177e065a9bf7b62ec",
}


def sealed(gcm, kind, version, nonce, context, plaintext):
    header = bytes([1, kind]) + KEY_ID + struct.pack(">I", version)
    bound = b"qanat csa v1 sealed\0" + header + context
    return header + nonce + gcm(nonce, bound, plaintext)


def field(octets):
    return struct.pack(">H", len(octets)) + octets


def proof_text(step, version, challenge, countering, claimant, verifier, context):
    return (b"qanat csa v1 authentication\0" + bytes([step]) + KEY_ID + struct.pack(">I", version) + field(challenge) + field(countering) + field(claimant) +
            field(verifier) + field(context))


def drawn(suite, name, size):
    return hashlib.shake_256(f"qanat csa known answers/{suite.number:04x}/{name}".encode()).digest(size)


def scalar(suite, name):
    return int.from_bytes(drawn(suite, name, suite.curve.size + 8), "big") % (suite.curve.n - 2) + 1


def encapsulation(suite, context):
    """A key pair, an encapsulation to it, and the secret that both ends have in this context."""
    d, k = scalar(suite, "scalar"), scalar(suite, "k")
    seed = drawn(suite, "d z", 64)
    ek, _ = suite.kem.keygen(seed)
    point = suite.curve.public(d)
    ss_ml_kem, ct_ml_kem = suite.kem.encapsulate(ek, drawn(suite, "m", 32))
    if suite.curve is curves.SM2:
        ss_classical = drawn(suite, "drawn", 32)
        ct_classical = curves.sm2_encrypt(point, k, ss_classical)
    else:
        ss_classical, ct_classical = suite.curve.ecdh(k, point), suite.curve.public(k)
    kem = dict(ss_classical=ss_classical, ss_ml_kem=ss_ml_kem, ct_classical=ct_classical, ct_ml_kem=ct_ml_kem, ek_point=point, ek_ml_kem=ek)
    secret = hybrid_secret(suite, kem, b"qanat csa v1 encapsulation\0" + context)
    return d.to_bytes(suite.curve.size, "big") + seed, ct_classical + ct_ml_kem, secret


def kem_answers(suite):
    material, ciphertext, shared = encapsulation(suite, b"ledger")
    # An exported key: AES-256-GCM, for encryption, version 2, in the context "to b".
    header = bytes([1, 3]) + KEY_ID + struct.pack(">I", 2)
    bound = b"qanat csa v1 export\0" + header + bytes([11]) + b"AES-256-GCM" + bytes([10]) + b"encryption" + b"to b"
    _, _, ss = encapsulation(suite, bound)
    key = suite.hash.expand(ss, b"qanat csa v1 export key\0", suite.aead_key)
    iv = suite.hash.expand(ss, b"qanat csa v1 export iv\0", 12)
    exported = bytes(range(32))
    return {"material": material.hex(), "ciphertext": ciphertext.hex(), "context": "ledger", "shared": shared.hex(), "exported": exported.hex(),
            "wrapped": (header + ciphertext + suite.seal(key, iv, bound, exported)).hex()}


def main():
    key = bytes.fromhex(RFC8998["key"])
    vector = {name: bytes.fromhex(text) for name, text in RFC8998.items()}
    sm4 = lambda iv, aad, text: symmetric.gcm_seal(symmetric.Sm4(key), iv, aad, text)  # noqa: E731
    assert sm4(vector["iv"], vector["aad"], vector["plaintext"]) == vector["ciphertext"] + vector["tag"]
    aes_key = bytes(range(32))
    aes = lambda iv, aad, text: symmetric.gcm_seal(symmetric.Aes256(aes_key), iv, aad, text)  # noqa: E731
    mac_key = bytes(range(1, 33))
    proof = proof_text(1, 3, bytes(range(32)), bytes(range(64, 96)), b"qanat://a/app3/one", b"qanat://b/app3/two", b"payroll")
    message = b"Hi There"
    sha_key = b"\x0b" * 20  # RFC 4231, case 1; padded with zeros it is the same key (RFC 2104, 2)
    out = {
        "key_id": KEY_ID.hex(),
        "sm4": {"key": key.hex(), "nonce": RFC8998["iv"], "plaintext": RFC8998["plaintext"], "ciphertext": RFC8998["ciphertext"], "context": "invoice 7",
                "text_v1": sealed(sm4, 1, 1, vector["iv"], b"invoice 7", vector["plaintext"]).hex(),
                "data_key_v1": sealed(sm4, 2, 1, vector["iv"], b"invoice 7", vector["plaintext"][:32]).hex()},
        "aes": {"key": aes_key.hex(), "nonce": RFC8998["iv"], "plaintext": RFC8998["plaintext"], "context": "",
                "text_v1": sealed(aes, 1, 1, vector["iv"], b"", vector["plaintext"]).hex()},
        "proof": {"text": proof.hex(), "key": mac_key.hex(), "hmac_sm3": symmetric.hmac(symmetric.sm3, 64, mac_key, proof).hex()},
        "macs": {"message": message.hex(),
                 "HMAC-SM3": {"key": mac_key.hex(), "mac": symmetric.hmac(symmetric.sm3, 64, mac_key, message).hex()},
                 "HMAC-SHA256": {"key": (sha_key + bytes(12)).hex(), "mac": hmac.new(sha_key, message, hashlib.sha256).hexdigest()},
                 "HMAC-SHA384": {"key": (sha_key + bytes(28)).hex(), "mac": hmac.new(sha_key, message, hashlib.sha384).hexdigest()}},
    }
    out["SM2+ML-KEM-768"], out["P-384+ML-KEM-1024"] = (kem_answers(suite) for suite in SUITES)
    (HERE / "csa.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
