#!/usr/bin/env python3
"""Writes device.keys and boxes.txt beside this script: known answers for the file and the boxes of the SDF device (docs/adr/0021-sdf-device.md).

SM4 and SM3 are those of ../qfc2/symmetric.py, which share no code with the program; CBC, the MAC and the padding are put together here. The KEK is that of the
tests' device (tests/sdf): 16 times 'a'. Everything is fixed, so a run changes nothing.
"""
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "qfc2"))
from symmetric import Sm4, sm3  # noqa: E402

KEK = Sm4(b"a" * 16)
ENCRYPTION = bytes(range(0x10, 0x20))
MAC = bytes(range(0x80, 0x90))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def cbc(key, iv, data):
    cipher, out = Sm4(key), []
    for at in range(0, len(data), 16):
        iv = cipher.encrypt(xor(iv, data[at:at + 16]))
        out.append(iv)
    return b"".join(out)


def box(context, iv, secret):
    fill = 16 - len(secret) % 16
    body = iv + cbc(ENCRYPTION, iv, secret + bytes([fill]) * fill)
    bound = sm3(b"qanat sdf device seal 1\n" + struct.pack(">Q", len(context)) + context + body)
    return body + cbc(MAC, bytes(16), bound)[-16:]


def main():
    encryption, mac = KEK.encrypt(ENCRYPTION), KEK.encrypt(MAC)
    label = b"qanat sdf device keys 1\n"
    check = box(label + struct.pack(">Q", 1) + sm3(encryption) + sm3(mac), bytes([7]) * 16, sm3(label))
    text = f"qanat sdf keys 1\nkek 1\nencryption {encryption.hex()}\nmac {mac.hex()}\ncheck {check.hex()}\n"
    (HERE / "device.keys").write_text(text + f"sm3 {sm3(text.encode()).hex()}\n")
    lines = []
    for size in (0, 15, 16, 48):
        secret = bytes((3 * i + size) % 256 for i in range(size))
        context = f"row {size}".encode()
        lines.append(f"{context.hex()} {secret.hex() or '-'} {box(context, bytes([size + 1]) * 16, secret).hex()}\n")
    (HERE / "boxes.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
