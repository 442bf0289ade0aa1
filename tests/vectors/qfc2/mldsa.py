"""ML-DSA-65 and ML-DSA-87 in plain Python, from FIPS 204: key generation from a seed, deterministic signing, verification."""

import hashlib

Q = 8380417
D = 13


def _reverse8(i):
    return int(f"{i:08b}"[::-1], 2)


ZETAS = [pow(1753, _reverse8(i), Q) for i in range(256)]


def ntt(f):
    f, m, length = list(f), 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            m += 1
            zeta = ZETAS[m]
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length] = (f[j] - t) % Q
                f[j] = (f[j] + t) % Q
        length //= 2
    return f


def inverse_ntt(f):
    f, m, length = list(f), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            m -= 1
            zeta = -ZETAS[m]
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (t - f[j + length]) % Q
        length *= 2
    return [x * 8347681 % Q for x in f]


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def subtract(f, g):
    return [(a - b) % Q for a, b in zip(f, g)]


def multiply(f, g):
    return [a * b % Q for a, b in zip(f, g)]


def centred(x):
    x %= Q
    return x - Q if x > Q // 2 else x


def norm(polynomials):
    return max(abs(centred(x)) for f in polynomials for x in f)


def pack(f, bits):
    return sum(x << (bits * i) for i, x in enumerate(f)).to_bytes(32 * bits, "little")


def unpack(octets, bits):
    whole, mask = int.from_bytes(octets, "little"), (1 << bits) - 1
    return [(whole >> (bits * i)) & mask for i in range(256)]


def pack_signed(f, high, bits):
    return pack([high - centred(x) for x in f], bits)


def unpack_signed(octets, high, bits):
    return [(high - x) % Q for x in unpack(octets, bits)]


def power2round(r):
    r %= Q
    low = r % (1 << D)
    if low > 1 << (D - 1):
        low -= 1 << D
    return (r - low) >> D, low


def shake256(x, size):
    return hashlib.shake_256(x).digest(size)


def reject_ntt(seed):
    stream, out, position = hashlib.shake_128(seed).digest(3 * 1024), [], 0
    while len(out) < 256:
        x = int.from_bytes(stream[position : position + 3], "little") & 0x7FFFFF
        position += 3
        if x < Q:
            out.append(x)
    return out


class MlDsa:
    def __init__(self, k, l, eta, tau, challenge, gamma1_bits, gamma2, omega):
        self.k, self.l, self.eta, self.tau, self.challenge = k, l, eta, tau, challenge
        self.gamma1, self.gamma1_bits, self.gamma2, self.omega = 1 << gamma1_bits, gamma1_bits + 1, gamma2, omega
        self.beta = tau * eta
        self.w1_bits = ((Q - 1) // (2 * gamma2) - 1).bit_length()
        self.eta_bits = (2 * eta).bit_length()
        self.public_size = 32 + 320 * k
        self.signature_size = challenge + 32 * self.gamma1_bits * l + omega + k

    def _small(self, seed):
        stream, out, position = shake256(seed, 1024), [], 0
        while len(out) < 256:
            for nibble in (stream[position] & 15, stream[position] >> 4):
                if len(out) == 256:
                    break
                if self.eta == 2 and nibble < 15:
                    out.append((2 - nibble % 5) % Q)
                elif self.eta == 4 and nibble < 9:
                    out.append((4 - nibble) % Q)
            position += 1
        return out

    def _matrix(self, rho):
        return [[reject_ntt(rho + bytes([s, r])) for s in range(self.l)] for r in range(self.k)]

    def _times(self, a, v):
        out = []
        for row in a:
            total = [0] * 256
            for f, g in zip(row, v):
                total = add(total, multiply(f, g))
            out.append(inverse_ntt(total))
        return out

    def keygen(self, seed):
        """(public key, private values) from the 32-octet seed xi."""
        expanded = shake256(seed + bytes([self.k, self.l]), 128)
        rho, rho_prime, key = expanded[:32], expanded[32:96], expanded[96:]
        a = self._matrix(rho)
        s1 = [self._small(rho_prime + n.to_bytes(2, "little")) for n in range(self.l)]
        s2 = [self._small(rho_prime + (self.l + n).to_bytes(2, "little")) for n in range(self.k)]
        t = [add(x, y) for x, y in zip(self._times(a, [ntt(f) for f in s1]), s2)]
        rounded = [[power2round(x) for x in f] for f in t]
        public = rho + b"".join(pack([x[0] for x in f], 10) for f in rounded)
        private = dict(a=a, key=key, tr=shake256(public, 64), s1=[ntt(f) for f in s1], s2=[ntt(f) for f in s2])
        private["t0"] = [ntt([x[1] % Q for x in f]) for f in rounded]
        return public, private

    def _decompose(self, r):
        r %= Q
        low = r % (2 * self.gamma2)
        if low > self.gamma2:
            low -= 2 * self.gamma2
        if r - low == Q - 1:
            return 0, low - 1
        return (r - low) // (2 * self.gamma2), low

    def _challenge(self, seed):
        stream = shake256(seed, 512)
        signs, position = int.from_bytes(stream[:8], "little"), 8
        c = [0] * 256
        for i in range(256 - self.tau, 256):
            while stream[position] > i:
                position += 1
            j = stream[position]
            position += 1
            c[i] = c[j]
            c[j] = (1 - 2 * (signs & 1)) % Q
            signs >>= 1
        return c

    @staticmethod
    def _message_digest(tr, message):
        return shake256(tr + b"\0\0" + message, 64)  # pure, empty context

    def sign(self, private, message):
        mu = self._message_digest(private["tr"], message)
        rho_second = shake256(private["key"] + b"\0" * 32 + mu, 64)
        kappa = 0
        while True:
            y = []
            for r in range(self.l):
                stream = shake256(rho_second + (kappa + r).to_bytes(2, "little"), 32 * self.gamma1_bits)
                y.append(unpack_signed(stream, self.gamma1, self.gamma1_bits))
            kappa += self.l
            w = self._times(private["a"], [ntt(f) for f in y])
            w1 = b"".join(pack([self._decompose(x)[0] for x in f], self.w1_bits) for f in w)
            c_tilde = shake256(mu + w1, self.challenge)
            c = ntt(self._challenge(c_tilde))
            z = [add(f, inverse_ntt(multiply(c, s))) for f, s in zip(y, private["s1"])]
            if norm(z) >= self.gamma1 - self.beta:
                continue
            r = [subtract(f, inverse_ntt(multiply(c, s))) for f, s in zip(w, private["s2"])]
            if max(abs(self._decompose(x)[1]) for f in r for x in f) >= self.gamma2 - self.beta:
                continue
            ct0 = [inverse_ntt(multiply(c, t)) for t in private["t0"]]
            if norm(ct0) >= self.gamma2:
                continue
            hints = [
                [int(self._decompose(x)[0] != self._decompose(x + t)[0]) for x, t in zip(f, g)] for f, g in zip(r, ct0)
            ]
            if sum(map(sum, hints)) > self.omega:
                continue
            return c_tilde + b"".join(pack_signed(f, self.gamma1, self.gamma1_bits) for f in z) + self._pack_hints(hints)

    def _pack_hints(self, hints):
        positions, counts = [], []
        for f in hints:
            positions += [j for j in range(256) if f[j]]
            counts.append(len(positions))
        return bytes(positions).ljust(self.omega, b"\0") + bytes(counts)

    def verify(self, public, message, signature):
        rho = public[:32]
        t1 = [unpack(public[32 + 320 * i : 352 + 320 * i], 10) for i in range(self.k)]
        c_tilde, rest = signature[: self.challenge], signature[self.challenge :]
        step = 32 * self.gamma1_bits
        z = [unpack_signed(rest[step * i : step * (i + 1)], self.gamma1, self.gamma1_bits) for i in range(self.l)]
        packed = rest[step * self.l :]
        hints, start = [], 0
        for i in range(self.k):
            end = packed[self.omega + i]
            hints.append(set(packed[start:end]))
            start = end
        mu = self._message_digest(shake256(public, 64), message)
        c = ntt(self._challenge(c_tilde))
        az = self._times(self._matrix(rho), [ntt(f) for f in z])
        ct1 = [inverse_ntt(multiply(c, ntt([x << D for x in f]))) for f in t1]
        m = (Q - 1) // (2 * self.gamma2)
        w1 = b""
        for f, g, hint in zip(az, ct1, hints):
            row = []
            for j, x in enumerate(subtract(f, g)):
                high, low = self._decompose(x)
                if j in hint:
                    high = (high + (1 if low > 0 else -1)) % m
                row.append(high)
            w1 += pack(row, self.w1_bits)
        return norm(z) < self.gamma1 - self.beta and c_tilde == shake256(mu + w1, self.challenge)


ML_DSA_65 = MlDsa(6, 5, 4, 49, 48, 19, (Q - 1) // 32, 55)
ML_DSA_87 = MlDsa(8, 7, 2, 60, 64, 19, (Q - 1) // 32, 75)


def check():
    """ACVP keyGen as SHA-256 over the public key; a signature, whose code reproduces Wycheproof's deterministic ones, as SHA-256."""
    vectors = (
        (
            ML_DSA_65,
            "8AB6448BF58F897D528A8DE9F8E59329AC929A9CDE7EDF3E27E01BC9EF128A67",
            "b0cc1d6464e1528a478108d4be94be4aca4c7ae69d9595b1e6b752713442022a",
            "ad538a65a45880e489d3ea153652b25d827ffb5975cd4bc7e8446adc059863da",
        ),
        (
            ML_DSA_87,
            "5AC4D695186486C11D21F0300DBDA6F38B8D1FA07A254549B64422D44B1AAC42",
            "f3181985231f1541993e4a5e676636e76ca97a2d551bff73d832e9ed80217b31",
            "212b1420bba4f96848d628ea1339364223b3de1a2aad331f9f4b3273ea98a001",
        ),
    )
    for scheme, seed, public_digest, signature_digest in vectors:
        public, private = scheme.keygen(bytes.fromhex(seed))
        assert hashlib.sha256(public).hexdigest() == public_digest
        signature = scheme.sign(private, b"abc")
        assert hashlib.sha256(signature).hexdigest() == signature_digest
        assert scheme.verify(public, b"abc", signature) and not scheme.verify(public, b"abd", signature)
