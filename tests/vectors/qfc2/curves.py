"""SM2 (signature, public-key encryption, ECDH) and P-384 (ECDSA, ECDH) in plain Python. From GB/T 32918 and FIPS 186-5."""

from symmetric import sha384, sm3


class Curve:
    """y^2 = x^3 - 3x + b over GF(p); points are (x, y)."""

    def __init__(self, p, b, n, gx, gy):
        self.p, self.b, self.n, self.g = p, b, n, (gx, gy)
        self.size = (p.bit_length() + 7) // 8

    def _double(self, point):
        x, y, z = point
        p = self.p
        yy = y * y % p
        s = 4 * x * yy % p
        zz = z * z % p
        m = 3 * (x - zz) * (x + zz) % p
        x3 = (m * m - 2 * s) % p
        return x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p

    def _add_affine(self, point, other):
        """Jacobian + affine; the two must differ (true for the scalars used here)."""
        x, y, z = point
        p = self.p
        zz = z * z % p
        h = (other[0] * zz - x) % p
        r = (other[1] * zz * z - y) % p
        assert h != 0
        hh = h * h % p
        hhh = h * hh % p
        v = x * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - y * hhh) % p, z * h % p

    def multiply(self, scalar, point):
        out = (point[0], point[1], 1)
        for bit in bin(scalar)[3:]:
            out = self._double(out)
            if bit == "1":
                out = self._add_affine(out, point)
        inverse = pow(out[2], -1, self.p)
        return out[0] * inverse * inverse % self.p, out[1] * inverse * inverse * inverse % self.p

    def add(self, a, b):
        x, y, z = self._add_affine((a[0], a[1], 1), b)
        inverse = pow(z, -1, self.p)
        return x * inverse * inverse % self.p, y * inverse * inverse * inverse % self.p

    def octets(self, point):
        return b"\x04" + point[0].to_bytes(self.size, "big") + point[1].to_bytes(self.size, "big")

    def point(self, octets):
        return int.from_bytes(octets[1 : 1 + self.size], "big"), int.from_bytes(octets[1 + self.size :], "big")

    def public(self, scalar):
        return self.octets(self.multiply(scalar, self.g))

    def ecdh(self, scalar, public):
        return self.multiply(scalar, self.point(public))[0].to_bytes(self.size, "big")


SM2 = Curve(
    0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF,
    0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93,
    0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123,
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
P384 = Curve(
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
    0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
)
SM2_ID = b"1234567812345678"


def sm2_digest(public, message):
    """e = SM3(Z_A || M) with the standard distinguishing id (GB/T 32918.2 5.5)."""
    field = lambda x: x.to_bytes(32, "big")
    z = sm3((len(SM2_ID) * 8).to_bytes(2, "big") + SM2_ID + field(SM2.p - 3) + field(SM2.b) + field(SM2.g[0]) + field(SM2.g[1]) + public[1:])
    return int.from_bytes(sm3(z + message), "big")


def sm2_sign(scalar, k, message):
    e = sm2_digest(SM2.public(scalar), message)
    r = (e + SM2.multiply(k, SM2.g)[0]) % SM2.n
    s = pow(1 + scalar, -1, SM2.n) * (k - r * scalar) % SM2.n
    assert r and s and r + k != SM2.n
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sm2_verify(public, message, signature):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % SM2.n
    point = SM2.add(SM2.multiply(s, SM2.g), SM2.multiply(t, SM2.point(public)))
    return r == (sm2_digest(public, message) + point[0]) % SM2.n


def _sm2_kdf(shared, size):
    out = b""
    for counter in range(1, size // 32 + 2):
        out += sm3(shared + counter.to_bytes(4, "big"))
    return out[:size]


def sm2_encrypt(public, k, message):
    """04 || C1 || C3 || C2 (GB/T 32918.4 with the order of GM/T 0009)."""
    x, y = (v.to_bytes(32, "big") for v in SM2.multiply(k, SM2.point(public)))
    c2 = bytes(a ^ b for a, b in zip(message, _sm2_kdf(x + y, len(message))))
    return SM2.public(k) + sm3(x + message + y) + c2


def ecdsa_sign(scalar, k, message):
    """P-384 with SHA-384."""
    e = int.from_bytes(sha384(message), "big")
    r = P384.multiply(k, P384.g)[0] % P384.n
    s = pow(k, -1, P384.n) * (e + r * scalar) % P384.n
    assert r and s
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def ecdsa_verify(public, message, signature):
    r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
    w = pow(s, -1, P384.n)
    e = int.from_bytes(sha384(message), "big")
    point = P384.add(P384.multiply(e * w % P384.n, P384.g), P384.multiply(r * w % P384.n, P384.point(public)))
    return point[0] % P384.n == r


def check():
    """GB/T 32918.5 annexes A and C; RFC 6979 A.2.6."""
    scalar = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
    k = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
    signature = sm2_sign(scalar, k, b"message digest")
    assert signature.hex().upper() == (
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
    )
    assert sm2_verify(SM2.public(scalar), b"message digest", signature)
    sealed = sm2_encrypt(SM2.public(scalar), k, b"encryption standard")
    assert sealed.hex().upper() == (
        "0404EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"
        "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD876621886CA989CA9C7D58087307CA93092D651EFA"
    )
    scalar = 0x6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5
    k = 0x94ED910D1A099DAD3254E9242AE85ABDE4BA15168EAF0CA87A555FD56D10FBCA2907E3E83BA95368623B8C4686915CF9
    signature = ecdsa_sign(scalar, k, b"sample")
    assert signature.hex().upper() == (
        "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46"
        "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8"
    )
    assert ecdsa_verify(P384.public(scalar), b"sample", signature)
