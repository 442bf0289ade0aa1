#!/usr/bin/env python3
"""Writes device.keys and boxes.txt beside this script: known answers for the file and the boxes of the SDF device (docs/adr/0021-sdf-device.md). The KEK is that
of the tests' device (tests/sdf): 16 times 'a'. Everything is fixed, so a run changes nothing.
"""
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from sm4_box import Boxes, Sm4  # noqa: E402

KEK = Sm4(b"a" * 16)
ENCRYPTION = bytes(range(0x10, 0x20))
MAC = bytes(range(0x80, 0x90))


def main():
    boxes = Boxes(b"sdf", ENCRYPTION, MAC)
    (HERE / "device.keys").write_text(boxes.file("kek 1", struct.pack(">Q", 1), KEK.encrypt(ENCRYPTION), KEK.encrypt(MAC)))
    (HERE / "boxes.txt").write_text(boxes.lines())


if __name__ == "__main__":
    main()
