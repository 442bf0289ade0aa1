#!/usr/bin/env python3
"""Known answer of a chained connection's key (docs/protocol/chain.md), from the standard library's HMAC alone: prints the 48 octets that chain_test.cpp holds."""
import hashlib
import hmac

LABEL = b"QFCI-v2 chain"


def extract(salt, ikm):
    return hmac.new(salt, ikm, hashlib.sha384).digest()


def expand(prk, info, size):  # RFC 5869 §2.3, one round: 48 octets are one digest of SHA-384
    assert size <= 48
    return hmac.new(prk, info + b"\x01", hashlib.sha384).digest()[:size]


def part(octets):
    return bytes([len(octets)]) + octets


def chain_key(extra, exporter, identity, client, server, policy_epoch):
    info = part(LABEL) + part(identity) + part(client) + part(server) + policy_epoch.to_bytes(4, "big")
    return expand(extract(LABEL, extra + exporter), hashlib.sha384(info).digest(), 48)


if __name__ == "__main__":
    print(chain_key(b"\x11" * 32, b"\x22" * 32, bytes(range(16)), b"\xc1" * 32, b"\x5e" * 32, 7).hex())
