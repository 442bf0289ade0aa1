#!/usr/bin/env python3
"""An auditor that shares no code with the program: verifies one element's audit record from its files, with hashlib and an openssl >= 3.5.

    audit_client.py OPENSSL STATE ROOT.pem      prints "whole, <records under the checkpoint>", or raises

RFC 9162 2.1 by its recursive definition; C2SP tlog-tiles, tlog-checkpoint, tlog-cosignature as they are written; our statement and SM2 type as
src/audit/statement.hpp and checkpoint.hpp describe them.
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


def root_of(hashes):
    if not hashes:
        return sha(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha(b"\1" + root_of(hashes[:k]) + root_of(hashes[k:]))


class Openssl:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.environment = dict(os.environ, LD_LIBRARY_PATH=os.path.join(os.path.dirname(os.path.dirname(program)), "lib"))

    def file(self, name, octets):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as out:
            out.write(octets)
        return path

    def run(self, *arguments):
        return subprocess.run([self.program, *arguments], check=True, env=self.environment, stdout=subprocess.PIPE).stdout

    def verify(self, public_pem, message, signature, *options):
        self.run("pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", self.file("key", public_pem), "-in", self.file("message", message),
                 "-sigfile", self.file("signature", signature), *options)


def der(tag, octets):
    size = len(octets)
    if size < 128:
        return bytes([tag, size]) + octets
    count = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | count]) + size.to_bytes(count, "big") + octets


def spki(algorithm, key):
    octets = der(0x30, der(0x30, algorithm) + der(3, b"\0" + key))
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(octets) + b"-----END PUBLIC KEY-----\n"


ML_DSA_44 = bytes.fromhex("0609608648016503040311")
SM2 = bytes.fromhex("06072a8648ce3d0201") + bytes.fromhex("06082a811ccf5501822d")
SM2_TYPE = b"\xffqanat/sm2-sm3-checkpoint/v1"


def number(octets):
    octets = octets.lstrip(b"\0") or b"\0"
    return der(2, (b"\0" if octets[0] & 0x80 else b"") + octets)


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def check_statement(openssl, state, root):
    text = read(state, "audit", "statement")
    body, rest = text.split(b"\n\n", 1)
    body += b"\n"
    lines = body.decode().splitlines()
    assert lines[0] == "qanat-audit-keys/v1"
    word, signature = rest.split(b"\n", 1)[0].split(b" ")
    assert word == b"signature"
    certificates = rest.split(b"\n", 1)[1].replace(b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n|").split(b"|")[:-1]
    leaf = openssl.file("leaf", certificates[0])
    openssl.run("verify", "-x509_strict", "-CAfile", root, "-untrusted", openssl.file("chain", b"".join(certificates[1:])), leaf)
    assert lines[1] in openssl.run("x509", "-in", leaf, "-noout", "-ext", "subjectAltName").decode(), "the certificate is another's"
    openssl.verify(openssl.run("x509", "-in", leaf, "-noout", "-pubkey"), body, base64.b64decode(signature))
    keys = {}
    for line in lines[3:]:
        name, key_id, typed = line.split("+", 2)
        octets = base64.b64decode(typed)
        assert sha(name.encode() + b"\n" + octets)[:4].hex() == key_id
        keys[bytes.fromhex(key_id)] = octets
    return lines[1], keys


def check_signatures(openssl, origin, size, root, lines, keys):
    found = set()
    for line in lines:
        dash, name, octets = line.split(" ")
        octets = base64.b64decode(octets)
        key = keys.get(octets[:4])
        if key is None or name != origin:
            continue
        assert dash == "—"
        found.add(octets[:4])
        time, signature = octets[4:12], octets[12:]
        rest = bytes([len(name)]) + name.encode() + time + bytes([len(origin)]) + origin.encode() + bytes(8) + struct.pack(">Q", size) + root
        if key[0] == 6:
            openssl.verify(spki(ML_DSA_44, key[1:]), b"subtree/v1\n\0" + rest, signature)
        else:
            assert key.startswith(SM2_TYPE)
            r_s = der(0x30, number(signature[:32]) + number(signature[32:]))
            openssl.verify(spki(SM2, key[len(SM2_TYPE):]), b"qanat/sm2-checkpoint/v1\n\0" + rest, r_s, "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
    assert found == set(keys), "a signature is missing"


def check_tiles(state, leaves):
    for folder, _, names in os.walk(os.path.join(state, "audit", "tile", "0")):
        for name in names:
            path = os.path.join(folder, name)
            partial = folder.endswith(".p")
            index_path = os.path.relpath(folder[:-2] if partial else path, os.path.join(state, "audit", "tile", "0"))
            index = int(index_path.replace("/", "").replace("x", ""))
            width = int(name) if partial else 256
            octets = read(path)
            assert len(octets) == 32 * width, path
            if 256 * index + width <= len(leaves):
                assert octets == b"".join(leaves[256 * index : 256 * index + width]), path


def main():
    program, state, root_file = sys.argv[1:]
    # The checkpoint before the lines: an element at work only adds lines.
    text, signatures = read(state, "audit", "checkpoint").decode().split("\n\n")
    origin, size, root = text.split("\n")
    size, root = int(size), base64.b64decode(root)
    previous, leaves = "0" * 64, []
    for line in read(state, "audit.jsonl").split(b"\n")[:-1]:
        record = json.loads(line)
        assert record["n"] == len(leaves) + 1 and record["prev"] == previous
        previous = record["hash"]
        assert sha(line[: line.rindex(b',"hash":')] + b"}").hex() == previous
        leaves.append(sha(b"\0" + line))
    assert size <= len(leaves), "lines are gone"
    assert root_of(leaves[:size]) == root, "the checkpoint is over other lines"
    check_tiles(state, leaves)
    with tempfile.TemporaryDirectory() as folder:
        openssl = Openssl(program, folder)
        element, keys = check_statement(openssl, state, root_file)
        assert element == "qanat://" + origin
        check_signatures(openssl, origin, size, root, signatures.splitlines(), keys)
    print("whole,", size)


if __name__ == "__main__":
    main()
