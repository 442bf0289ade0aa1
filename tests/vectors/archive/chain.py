#!/usr/bin/env python3
"""Known answers of a segment of the archive of keys (src/services/kms/kma/history_segment.hpp), from FIPS 180-4 by Python's hashlib alone: prints the digest after each
line, the first of which is the segment's head."""
import hashlib

LINES = (
    b'{"kms":"kms-a","life":2,"segment":17,"previous":"0a0b"}',
    b'{"sid_wk":"00","leg":"caller"}',
    b'{"sid_wk":"00","leg":"callee"}',
)

digest = hashlib.sha256(b"qanat key archive 1\n" + LINES[0]).digest()
print(digest.hex())
for line in LINES[1:]:
    digest = hashlib.sha256(digest + line).digest()
    print(digest.hex())
