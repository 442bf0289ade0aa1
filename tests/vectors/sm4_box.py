"""Boxes and files of SDF and SKF devices (docs/adr/0021-sdf-device.md, 0022-devices.md) for ../vectors/sdf and skf. SM4 and SM3 are those of qfc2/symmetric.py, which
share no code with the program; CBC, the MAC and the padding are put together here."""
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "qfc2"))
from symmetric import Sm4, sm3  # noqa: E402


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def cbc(key, iv, data):
    cipher, out = Sm4(key), []
    for at in range(0, len(data), 16):
        iv = cipher.encrypt(xor(iv, data[at:at + 16]))
        out.append(iv)
    return b"".join(out)


class Boxes:
    """Of one kind of device, under two keys."""

    def __init__(self, kind, encryption, mac):
        self.kind, self.encryption, self.mac = kind, encryption, mac

    def box(self, context, iv, secret):
        fill = 16 - len(secret) % 16
        body = iv + cbc(self.encryption, iv, secret + bytes([fill]) * fill)
        bound = sm3(b"qanat %s device seal 1\n" % self.kind + struct.pack(">Q", len(context)) + context + body)
        return body + cbc(self.mac, bytes(16), bound)[-16:]

    def file(self, wrapper, wrapper_octets, encryption, mac):
        """`wrapper` is the second line; `encryption` and `mac` are wrapped."""
        label = b"qanat %s device keys 1\n" % self.kind
        check = self.box(label + wrapper_octets + sm3(encryption) + sm3(mac), bytes([7]) * 16, sm3(label))
        text = f"qanat {self.kind.decode()} keys 1\n{wrapper}\nencryption {encryption.hex()}\nmac {mac.hex()}\ncheck {check.hex()}\n"
        return text + f"sm3 {sm3(text.encode()).hex()}\n"

    def lines(self):
        """Context, secret and box, of some lengths."""
        out = []
        for size in (0, 15, 16, 48):
            secret = bytes((3 * i + size) % 256 for i in range(size))
            context = f"row {size}".encode()
            out.append(f"{context.hex()} {secret.hex() or '-'} {self.box(context, bytes([size + 1]) * 16, secret).hex()}\n")
        return "".join(out)
