#!/usr/bin/env python3
"""Writes audit.json beside this script: answers of another implementation for src/audit.

Trees and proofs come from the recursive definitions of RFC 9162, 2.1 (MTH, PATH, SUBPROOF), which the program does not use. The checkpoint is
signed by OpenSSL (ML-DSA-44 and SM2) over messages put together here after C2SP tlog-cosignature. Shares no code with the program.

    python3 generate.py OPENSSL      OPENSSL: path of an openssl >= 3.5; its keys are made anew, so a run changes the checkpoint's lines
"""
import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile


def sha(octets):
    return hashlib.sha256(octets).digest()


def largest_power_below(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(d):
    if not d:
        return sha(b"")
    if len(d) == 1:
        return sha(b"\0" + d[0])
    k = largest_power_below(len(d))
    return sha(b"\1" + mth(d[:k]) + mth(d[k:]))


def path(m, d):
    if len(d) == 1:
        return []
    k = largest_power_below(len(d))
    if m < k:
        return path(m, d[:k]) + [mth(d[k:])]
    return path(m - k, d[k:]) + [mth(d[:k])]


def subproof(m, d, b):
    if m == len(d):
        return [] if b else [mth(d)]
    k = largest_power_below(len(d))
    if m <= k:
        return subproof(m, d[:k], b) + [mth(d[k:])]
    return subproof(m - k, d[k:], False) + [mth(d[:k])]


def line(i):
    return b"line %d" % i


def key_id(name, typed_key):
    return sha(name + b"\n" + typed_key)[:4]


def signed_message(label, name, time, origin, size, root):
    return (label + bytes([len(name)]) + name + struct.pack(">Q", time) + bytes([len(origin)]) + origin + struct.pack(">Q", 0) + struct.pack(">Q", size) + root)


def openssl(program, *arguments, stdin=b""):
    environment = dict(os.environ, LD_LIBRARY_PATH=os.path.join(os.path.dirname(os.path.dirname(program)), "lib"))
    return subprocess.run([program, *arguments], input=stdin, stdout=subprocess.PIPE, check=True, env=environment).stdout


def r_s(der):
    assert der[0] == 0x30
    at, out = 2, b""
    for _ in range(2):
        assert der[at] == 2
        number = der[at + 2 : at + 2 + der[at + 1]]
        out += int.from_bytes(number, "big").to_bytes(32, "big")
        at += 2 + der[at + 1]
    return out


def checkpoint(program):
    origin, size, time = b"a/kms/kms-a", 300, 1_700_000_000
    root = mth([line(i) for i in range(size)])
    text = origin + b"\n%d\n" % size + base64.b64encode(root) + b"\n"
    note, vkeys = text + b"\n", []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("ml-dsa-44", "sm2"):
            key, message = os.path.join(folder, kind), os.path.join(folder, "message")
            if kind == "sm2":
                openssl(program, "genpkey", "-algorithm", "SM2", "-out", key)
                octets = openssl(program, "pkey", "-in", key, "-pubout", "-outform", "DER")[-65:]
                typed, label = b"\xffqanat/sm2-sm3-checkpoint/v1" + octets, b"qanat/sm2-checkpoint/v1\n\0"
                options = ["-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
            else:
                openssl(program, "genpkey", "-algorithm", "ML-DSA-44", "-out", key)
                octets = openssl(program, "pkey", "-in", key, "-pubout", "-outform", "DER")[-1312:]
                typed, label = b"\x06" + octets, b"subtree/v1\n\0"
                options = []
            with open(message, "wb") as out:
                out.write(signed_message(label, origin, time, origin, size, root))
            signature = openssl(program, "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message, *options)
            if kind == "sm2":
                signature = r_s(signature)
            number = key_id(origin, typed)
            vkeys.append((origin + b"+" + number.hex().encode() + b"+" + base64.b64encode(typed)).decode())
            note += "— ".encode() + origin + b" " + base64.b64encode(number + struct.pack(">Q", time) + signature) + b"\n"
    return {"note": note.decode(), "keys": vkeys, "size": size, "time": time}


def main():
    sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 100, 255, 256, 257, 300, 511, 513, 1000]
    lines = [line(i) for i in range(max(sizes))]
    trees = [{"size": n, "root": mth(lines[:n]).hex()} for n in sizes]
    inclusion = [{"index": i, "size": n, "proof": [h.hex() for h in path(i, lines[:n])]} for i, n in ((0, 1), (0, 2), (1, 2), (2, 3), (6, 7), (3, 8), (255, 257), (256, 257), (0, 300), (299, 300), (511, 513), (777, 1000))]
    consistency = [{"old": m, "size": n, "proof": [h.hex() for h in subproof(m, lines[:n], True)]} for m, n in ((1, 2), (1, 8), (6, 8), (2, 5), (3, 7), (4, 7), (6, 7), (100, 300), (255, 256), (256, 257), (257, 1000), (512, 1000), (999, 1000))]
    answers = {"trees": trees, "inclusion": inclusion, "consistency": consistency, "checkpoint": checkpoint(sys.argv[1])}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "audit.json"), "w", encoding="utf-8") as out:
        json.dump(answers, out, indent=1, ensure_ascii=False)
        out.write("\n")


if __name__ == "__main__":
    main()
