#!/usr/bin/env python3
"""Writes boxes.txt beside this script: known answers for the box of a pair of devices (docs/adr/0022-devices.md). AES-GCM is that of ../qfc2/symmetric.py, which
shares no code with the program. Each line: context, data key, secret, box; the two inner boxes are octets of no device. Everything is fixed, so a run changes
nothing.
"""
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qfc2"))
from symmetric import Aes256, gcm_seal  # noqa: E402


def box(context, inner, key, nonce, secret):
    head = b"qanatpr1" + b"".join(struct.pack(">H", len(one)) + one for one in inner)
    return head + nonce + gcm_seal(Aes256(key), nonce, b"qanat pair seal 1\n" + head + context, secret)


def main():
    lines = []
    for size, inner in ((0, (60, 80)), (1, (0, 80)), (48, (60, 0)), (100, (300, 1))):
        key = bytes((7 * i + size) % 256 for i in range(32))
        secret = bytes((3 * i + size) % 256 for i in range(size))
        octets = box(f"row {size}".encode(), [bytes((i + length) % 256 for i in range(length)) for length in inner], key, bytes([size + 1]) * 12, secret)
        lines.append(f"{f'row {size}'.encode().hex()} {key.hex()} {secret.hex() or '-'} {octets.hex()}\n")
    (HERE / "boxes.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
