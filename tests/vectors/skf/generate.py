#!/usr/bin/env python3
"""Writes device.keys, boxes.txt and encryption.hex beside this script: known answers for the file and the boxes of the SKF device (docs/adr/0022-devices.md). SM2
is that of ../qfc2/curves.py. encryption.hex is the container's encryption pair as the tests' device (tests/skf) keeps it: private key, x, y. Everything is fixed,
so a run changes nothing.
"""
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from sm4_box import Boxes, sm3  # noqa: E402
from curves import SM2, sm2_encrypt  # noqa: E402

SCALAR = int.from_bytes(bytes(range(1, 33)), "big")
ENCRYPTION = bytes(range(0x20, 0x30))
MAC = bytes(range(0x90, 0xA0))


def cipher_blob(public, k, key):
    """ECCCIPHERBLOB of GM/T 0016, little-endian as on the machines that the tests run on."""
    raw = sm2_encrypt(public, k, key)  # 04 || x || y || C3 || C2
    x, y, c3, c2 = raw[1:33], raw[33:65], raw[65:97], raw[97:]
    return bytes(32) + x + bytes(32) + y + c3 + struct.pack("<I", len(c2)) + c2


def main():
    boxes = Boxes(b"skf", ENCRYPTION, MAC)
    public = SM2.public(SCALAR)
    container = sm3(bytes(32) + public[1:33] + bytes(32) + public[33:])
    wrapped = [cipher_blob(public, k, key) for k, key in ((7 ** 60, ENCRYPTION), (5 ** 70, MAC))]
    (HERE / "device.keys").write_text(boxes.file(f"container {container.hex()}", container, *wrapped))
    (HERE / "encryption.hex").write_text((SCALAR.to_bytes(32, "big") + public[1:]).hex())
    (HERE / "boxes.txt").write_text(boxes.lines())


if __name__ == "__main__":
    main()
