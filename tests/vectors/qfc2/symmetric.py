"""SM3, SM4, AES-256, GCM, HMAC and HKDF in plain Python, for the known answers of profile v2.

Written from GB/T 32905, GB/T 32907, FIPS 197, SP 800-38D and RFC 5869, apart from the C++ code and its libraries, so that the
two can be compared. Slow, and not for secrets.
"""

import hashlib


def rotate(x, n):
    return ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF if n else x


def sm3(message):
    state = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = message + b"\x80" + b"\0" * ((55 - len(message)) % 64) + (len(message) * 8).to_bytes(8, "big")
    for start in range(0, len(padded), 64):
        w = [int.from_bytes(padded[start + 4 * i : start + 4 * i + 4], "big") for i in range(16)]
        for i in range(16, 68):
            x = w[i - 16] ^ w[i - 9] ^ rotate(w[i - 3], 15)
            w.append(x ^ rotate(x, 15) ^ rotate(x, 23) ^ rotate(w[i - 13], 7) ^ w[i - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            constant = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rotate((rotate(a, 12) + e + rotate(constant, j % 32)) & 0xFFFFFFFF, 7)
            ss2 = ss1 ^ rotate(a, 12)
            ff = a ^ b ^ c if j < 16 else (a & b) | (a & c) | (b & c)
            gg = e ^ f ^ g if j < 16 else (e & f) | (~e & 0xFFFFFFFF & g)
            tt1 = (ff + d + ss2 + (w[j] ^ w[j + 4])) & 0xFFFFFFFF
            tt2 = (gg + h + ss1 + w[j]) & 0xFFFFFFFF
            a, b, c, d = tt1, a, rotate(b, 9), c
            e, f, g, h = tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17), e, rotate(f, 19), g
        state = [x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return b"".join(x.to_bytes(4, "big") for x in state)


def sha384(message):
    return hashlib.sha384(message).digest()


def hmac(hash_function, block, key, message):
    if len(key) > block:
        key = hash_function(key)
    key = key.ljust(block, b"\0")
    inner = hash_function(bytes(x ^ 0x36 for x in key) + message)
    return hash_function(bytes(x ^ 0x5C for x in key) + inner)


# ---- block ciphers ----


def _field_inverse_table(modulus):
    """Multiplicative inverses in GF(2^8) modulo `modulus`; 0 maps to 0."""
    product = lambda a, b: _gf_multiply(a, b, modulus)
    inverse = [0] * 256
    for a in range(1, 256):
        power, result, exponent = a, 1, 254
        while exponent:
            if exponent & 1:
                result = product(result, power)
            power = product(power, power)
            exponent >>= 1
        inverse[a] = result
    return inverse


def _gf_multiply(a, b, modulus):
    out = 0
    while b:
        if b & 1:
            out ^= a
        a <<= 1
        if a & 0x100:
            a ^= modulus
        b >>= 1
    return out


def _sm4_sbox():
    """S(x) = A(I(A(x))) with inversion modulo x^8+x^7+x^6+x^5+x^4+x^2+1 and a circulant affine map A with constant 0xD3."""
    inverse = _field_inverse_table(0x1F5)

    def affine(x):
        out = 0
        for i in range(8):
            row = ((0xA7 << i) | (0xA7 >> (8 - i))) & 0xFF
            out |= (bin(row & x).count("1") & 1) << i
        return out ^ 0xD3

    return [affine(inverse[affine(x)]) for x in range(256)]


def _aes_sbox():
    out = []
    for x in _field_inverse_table(0x11B):
        value = x
        for n in range(1, 5):
            value ^= ((x << n) | (x >> (8 - n))) & 0xFF
        out.append(value ^ 0x63)
    return out


SM4_SBOX = _sm4_sbox()
AES_SBOX = _aes_sbox()
AES_DOUBLE = [_gf_multiply(x, 2, 0x11B) for x in range(256)]


class Sm4:
    def __init__(self, key):
        fk = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)
        k = [int.from_bytes(key[4 * i : 4 * i + 4], "big") ^ fk[i] for i in range(4)]
        for i in range(32):
            constant = int.from_bytes(bytes(((4 * i + j) * 7) % 256 for j in range(4)), "big")
            x = self._substitute(k[i + 1] ^ k[i + 2] ^ k[i + 3] ^ constant)
            k.append(k[i] ^ x ^ rotate(x, 13) ^ rotate(x, 23))
        self.round_keys = k[4:]

    @staticmethod
    def _substitute(x):
        return int.from_bytes(bytes(SM4_SBOX[b] for b in x.to_bytes(4, "big")), "big")

    def encrypt(self, block):
        x = [int.from_bytes(block[4 * i : 4 * i + 4], "big") for i in range(4)]
        for round_key in self.round_keys:
            t = self._substitute(x[1] ^ x[2] ^ x[3] ^ round_key)
            x = x[1:] + [x[0] ^ t ^ rotate(t, 2) ^ rotate(t, 10) ^ rotate(t, 18) ^ rotate(t, 24)]
        return b"".join(word.to_bytes(4, "big") for word in reversed(x))


class Aes256:
    def __init__(self, key):
        words = [list(key[4 * i : 4 * i + 4]) for i in range(8)]
        rcon = 1
        for i in range(8, 60):
            word = list(words[-1])
            if i % 8 == 0:
                word = [AES_SBOX[b] for b in word[1:] + word[:1]]
                word[0] ^= rcon
                rcon = AES_DOUBLE[rcon]
            elif i % 8 == 4:
                word = [AES_SBOX[b] for b in word]
            words.append([a ^ b for a, b in zip(words[i - 8], word)])
        self.round_keys = [sum(words[4 * r : 4 * r + 4], []) for r in range(15)]

    def encrypt(self, block):
        state = [a ^ b for a, b in zip(block, self.round_keys[0])]
        for r in range(1, 15):
            state = [AES_SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
            if r < 14:
                mixed = []
                for c in range(0, 16, 4):
                    column = state[c : c + 4]
                    whole = column[0] ^ column[1] ^ column[2] ^ column[3]
                    mixed += [column[i] ^ whole ^ AES_DOUBLE[column[i] ^ column[(i + 1) % 4]] for i in range(4)]
                state = mixed
            state = [a ^ b for a, b in zip(state, self.round_keys[r])]
        return bytes(state)


def gcm_seal(cipher, iv, associated, plaintext):
    """ciphertext || 16-octet tag, for a 12-octet nonce."""
    hash_key = int.from_bytes(cipher.encrypt(b"\0" * 16), "big")
    # hash_key * x^n for n = 0..127, so that a product is a sum of the rows that the other factor selects
    rows = [hash_key]
    for _ in range(127):
        rows.append(rows[-1] >> 1 ^ (0xE1 << 120 if rows[-1] & 1 else 0))

    def times_key(x):
        out = 0
        for i in range(128):
            if x >> (127 - i) & 1:
                out ^= rows[i]
        return out

    out = bytearray()
    for n in range(0, len(plaintext), 16):
        stream = cipher.encrypt(iv + (2 + n // 16).to_bytes(4, "big"))
        out += bytes(a ^ b for a, b in zip(plaintext[n : n + 16], stream))
    y = 0
    for part in (associated, bytes(out)):
        for n in range(0, len(part), 16):
            y = times_key(y ^ int.from_bytes(part[n : n + 16].ljust(16, b"\0"), "big"))
    y = times_key(y ^ (len(associated) * 8 << 64 | len(out) * 8))
    mask = int.from_bytes(cipher.encrypt(iv + b"\0\0\0\1"), "big")
    return bytes(out) + (y ^ mask).to_bytes(16, "big")


class HashSuite:
    """A hash with the constructions over it."""

    def __init__(self, function, size, block):
        self.digest = function
        self.size = size
        self.block = block

    def hmac(self, key, message):
        return hmac(self.digest, self.block, key, message)

    def extract(self, salt, ikm):
        return self.hmac(salt, ikm)

    def expand(self, prk, info, size):
        out, last, counter = b"", b"", 1
        while len(out) < size:
            last = self.hmac(prk, last + info + bytes([counter]))
            out += last
            counter += 1
        return out[:size]


SM3 = HashSuite(sm3, 32, 64)
SHA384 = HashSuite(sha384, 48, 128)


def check():
    """Published examples; an AssertionError means that nothing here may be trusted."""
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"  # GB/T 32905 A.1
    assert sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"  # A.2
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert Sm4(key).encrypt(key).hex() == "681edf34d206965e86b3e94f536e4246"  # GB/T 32907 A.1
    # RFC 8998 A.1
    sealed = gcm_seal(
        Sm4(key),
        bytes.fromhex("00001234567800000000abcd"),
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        b"".join(bytes([x]) * 8 for x in (0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA)),
    )
    assert sealed[-16:].hex() == "83de3541e4c2b58177e065a9bf7b62ec"
    assert sealed[:16].hex() == "17f399f08c67d5ee19d0dc9969c4bb7d"
    # FIPS 197 C.3 and the GCM specification's test case 14
    assert Aes256(bytes(range(32))).encrypt(bytes(x * 17 for x in range(16))).hex() == "8ea2b7ca516745bfeafc49904b496089"
    sealed = gcm_seal(Aes256(b"\0" * 32), b"\0" * 12, b"", b"\0" * 16)
    assert sealed.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    # HMAC and HKDF against the standard library's SHA-384 and SHA-256 (RFC 5869 A.1)
    sha256 = HashSuite(lambda m: hashlib.sha256(m).digest(), 32, 64)
    prk = sha256.extract(bytes(range(13)), b"\x0b" * 22)
    assert sha256.expand(prk, bytes(range(0xF0, 0xFA)), 42).hex().startswith("3cb25f25faacd57a90434f64d0362f2a")
    # GM/T 0042 D.3
    assert SM3.hmac(bytes(range(1, 33)), (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq" * 2)).hex() == (
        "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"
    )
