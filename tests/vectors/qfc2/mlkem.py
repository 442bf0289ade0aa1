"""ML-KEM-768 and ML-KEM-1024 in plain Python, from FIPS 203."""

import hashlib

Q = 3329


def _reverse7(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _reverse7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reverse7(i) + 1, Q) for i in range(128)]


def ntt(f):
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta = ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length] = (f[j] - t) % Q
                f[j] = (f[j] + t) % Q
        length //= 2
    return f


def inverse_ntt(f):
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta = ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply(f, g):
    out = [0] * 256
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        out[2 * i] = (a0 * b0 + a1 * b1 * GAMMAS[i]) % Q
        out[2 * i + 1] = (a0 * b1 + a1 * b0) % Q
    return out


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def pack(d, f):
    return sum(x << (d * i) for i, x in enumerate(f)).to_bytes(32 * d, "little")


def unpack(d, octets):
    whole, mask = int.from_bytes(octets, "little"), (1 << d) - 1
    return [(whole >> (d * i)) & mask for i in range(256)]


def compress(d, f):
    return [((x << d) + Q // 2) // Q % (1 << d) for x in f]


def decompress(d, f):
    return [(x * Q + (1 << (d - 1))) >> d for x in f]


def sample_ntt(seed):
    stream, out, position = hashlib.shake_128(seed).digest(2016), [], 0
    while len(out) < 256:
        a, b, c = stream[position : position + 3]
        position += 3
        for candidate in (a + 256 * (b % 16), b // 16 + 16 * c):
            if candidate < Q and len(out) < 256:
                out.append(candidate)
    return out


def sample_cbd2(octets):
    bits = int.from_bytes(octets, "little")
    out = []
    for i in range(256):
        nibble = bits >> (4 * i)
        out.append(((nibble & 1) + (nibble >> 1 & 1) - (nibble >> 2 & 1) - (nibble >> 3 & 1)) % Q)
    return out


def prf(seed, n):
    return hashlib.shake_256(seed + bytes([n])).digest(128)


def H(x):
    return hashlib.sha3_256(x).digest()


def G(x):
    out = hashlib.sha3_512(x).digest()
    return out[:32], out[32:]


class MlKem:
    def __init__(self, k, du, dv):
        self.k, self.du, self.dv = k, du, dv

    def _matrix(self, rho):
        return [[sample_ntt(rho + bytes([j, i])) for j in range(self.k)] for i in range(self.k)]

    def keygen(self, seed):
        """(ek, dk) from d || z."""
        d, z = seed[:32], seed[32:]
        rho, sigma = G(d + bytes([self.k]))
        a = self._matrix(rho)
        s = [ntt(sample_cbd2(prf(sigma, n))) for n in range(self.k)]
        e = [ntt(sample_cbd2(prf(sigma, self.k + n))) for n in range(self.k)]
        t = []
        for i in range(self.k):
            row = e[i]
            for j in range(self.k):
                row = add(row, multiply(a[i][j], s[j]))
            t.append(row)
        ek = b"".join(pack(12, row) for row in t) + rho
        return ek, b"".join(pack(12, row) for row in s) + ek + H(ek) + z

    def _encrypt(self, ek, m, r):
        t = [unpack(12, ek[384 * i : 384 * (i + 1)]) for i in range(self.k)]
        a = self._matrix(ek[384 * self.k :])
        y = [ntt(sample_cbd2(prf(r, n))) for n in range(self.k)]
        u = []
        for i in range(self.k):
            total = [0] * 256
            for j in range(self.k):
                total = add(total, multiply(a[j][i], y[j]))
            u.append(add(inverse_ntt(total), sample_cbd2(prf(r, self.k + i))))
        total = [0] * 256
        for i in range(self.k):
            total = add(total, multiply(t[i], y[i]))
        v = add(add(inverse_ntt(total), sample_cbd2(prf(r, 2 * self.k))), decompress(1, unpack(1, m)))
        return b"".join(pack(self.du, compress(self.du, row)) for row in u) + pack(self.dv, compress(self.dv, v))

    def encapsulate(self, ek, m):
        """(shared secret, ciphertext) for the 32 random octets m."""
        key, r = G(m + H(ek))
        return key, self._encrypt(ek, m, r)

    def decapsulate(self, dk, c):
        k = self.k
        ek, h, z = dk[384 * k : 768 * k + 32], dk[768 * k + 32 : 768 * k + 64], dk[768 * k + 64 :]
        s = [unpack(12, dk[384 * i : 384 * (i + 1)]) for i in range(k)]
        step = 32 * self.du
        total = [0] * 256
        for i in range(k):
            total = add(total, multiply(s[i], ntt(decompress(self.du, unpack(self.du, c[step * i : step * (i + 1)])))))
        w = [(a - b) % Q for a, b in zip(decompress(self.dv, unpack(self.dv, c[step * k :])), inverse_ntt(total))]
        m = pack(1, compress(1, w))
        key, r = G(m + h)
        return key if self._encrypt(ek, m, r) == c else hashlib.shake_256(z + c).digest(32)


ML_KEM_768 = MlKem(3, 10, 4)
ML_KEM_1024 = MlKem(4, 11, 5)


def check():
    """ACVP keyGen (ML-KEM-768 tcId 26, ML-KEM-1024 tcId 51) as SHA-256 over ek || dk; an encapsulation that opens again."""
    vectors = (
        (
            ML_KEM_768,
            "97C4789340DF47850A84889820B9B4307DF3E43A7DE3F5857340C791934F1E99D7F7FE2AA083A10A9C267D3163D0FB888C9D2D7614482095EF1817E1E9E4AC88",
            "a92496b76b3bf3b89bad0359db62f1966be837fb533dc78b01821f85ad737845",
            "031a0e5e08dfb8375d22871cd92df3d555e563eb9efd5e850ab58c5eabce1dac",
        ),
        (
            ML_KEM_1024,
            "EBD6260BBFA0C542CD1C857C318BA68153832A60F81DE839E71284CCC919BB71600FDD18126AC926D3A745172186BEB557CE6F0D7911A5C9EE387689C799E912",
            "5ab772059b6bff661e23f94e868204488c52eeb0f902534d4fc66fd06e4ff1c2",
            "ded93c7796557e01687c967f9e39bdfec05db2789eb5b2af14b988fdb997cd53",
        ),
    )
    for kem, seed, digest, shared in vectors:
        ek, dk = kem.keygen(bytes.fromhex(seed))
        assert hashlib.sha256(ek + dk).hexdigest() == digest
        key, ct = kem.encapsulate(ek, bytes(range(32)))
        assert key.hex() == shared
        assert kem.decapsulate(dk, ct) == key
        assert kem.decapsulate(dk, bytes([ct[0] ^ 1]) + ct[1:]) != key
