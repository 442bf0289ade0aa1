#!/usr/bin/env python3
"""Known answers of profile v2: every message and every derived key, for both suites, from fixed inputs.

    generate.py            writes qfc2.json beside this file
    generate.py --check    makes it again and compares; status 1 if the file differs

Independent of the C++ code and of the libraries behind it: Python 3.11's standard library alone, primitives in symmetric.py,
curves.py, mlkem.py and mldsa.py (each checked against published vectors before anything is made), protocol in messages.py.
Randomness is SHAKE-256 of a name, so that a reader can make any input again.
"""

import hashlib
import json
import pathlib
import sys

import curves
import mldsa
import mlkem
import symmetric
from messages import (
    SUITES, Supply, charge_file, charge_payload, charged_mac, early_secret, handshake_secret, header, hybrid_secret, key_and_iv, key_id,
    master_secret, media, mix_distribution, mix_ephemeral, mix_injected, next_transport, opaque, sae_key, sealed_field, sid_call, step9,
    to_be_signed, u16, u32, u64, u8, whole, wk_fingerprint,
)

EPOCH = 7
CALLER, CALLEE = "+8613800000001", "+8613900000002"
UID_A, UID_B, KMS_A, KMS_B = "alice", "bob", "kms-a", "kms-b"
TS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
LIFETIME_MS = 86_400_000


class Scenario:
    """One suite's run through the twelve steps."""

    def __init__(self, suite):
        self.suite = suite
        self.inputs, self.parties, self.keys, self.kems, self.messages, self.derived = {}, {}, {}, {}, {}, {}

    # inputs

    def drawn(self, name, size):
        return hashlib.shake_256(f"qanat known answers/{self.suite.number:04x}/{name}".encode()).digest(size)

    def given(self, name, size):
        self.inputs[name] = self.drawn(name, size)
        return self.inputs[name]

    def scalar(self, name):
        size = self.suite.curve.size
        value = int.from_bytes(self.drawn(name, size + 8), "big") % (self.suite.curve.n - 2) + 1
        return value, value.to_bytes(size, "big")

    def party(self, name):
        number, octets = self.scalar(f"{name}/sign")
        seed = self.drawn(f"{name}/xi", 32)
        public, private = self.suite.dsa.keygen(seed)
        certificates = [self.drawn(f"{name}/certificate {kind}", 40) for kind in ("classical", "pq")]
        fps = [self.suite.hash.digest(der) for der in certificates]
        self.parties[name] = dict(
            scalar=octets, seed=seed, point=self.suite.curve.public(number), ml_dsa_sha256=hashlib.sha256(public).digest(),
            certificate_classical=certificates[0], certificate_pq=certificates[1], fp_classical=fps[0], fp_pq=fps[1],
        )  # fmt: skip
        self.parties[name]["_"] = (number, private, fps[0] + fps[1])

    def fps(self, name):
        return self.parties[name]["_"][2]

    def key(self, name):
        number, octets = self.scalar(f"{name}/scalar")
        seed = self.drawn(f"{name}/d z", 64)
        ek, dk = self.suite.kem.keygen(seed)
        point = self.suite.curve.public(number)
        self.keys[name] = dict(scalar=octets, seed=seed, point=point, ml_kem_sha256=hashlib.sha256(ek).digest())
        self.keys[name]["_"] = dict(point=point, ml_kem=ek)
        self.keys[name]["_dk"] = dk

    def public(self, name):
        return self.keys[name]["_"]

    def encapsulate(self, name, to, form):
        suite, key = self.suite, self.public(to)
        m = self.drawn(f"{name}/m", 32)
        number, octets = self.scalar(f"{name}/k")
        secret = self.drawn(f"{name}/K1", 32)
        ss_ml_kem, ct_ml_kem = suite.kem.encapsulate(key["ml_kem"], m)
        assert suite.kem.decapsulate(self.keys[to]["_dk"], ct_ml_kem) == ss_ml_kem
        if form == "to_static" and suite.curve is curves.SM2:
            ss_classical, ct_classical = secret, curves.sm2_encrypt(key["point"], number, secret)
        else:
            ss_classical, ct_classical = suite.curve.ecdh(number, key["point"]), suite.curve.public(number)
        self.kems[name] = dict(
            to=to, form=form, m=m, scalar=octets, drawn=secret if form == "to_static" else b"", ct_classical=ct_classical, ct_ml_kem=ct_ml_kem,
            ss_classical=ss_classical, ss_ml_kem=ss_ml_kem, _ek=key,
        )  # fmt: skip
        return dict(self.kems[name], ek_point=key["point"], ek_ml_kem=key["ml_kem"])

    # messages

    def sign(self, signer, tbs, name):
        number, private, _ = self.parties[signer]["_"]
        k, _ = self.scalar(f"{name}/nonce")
        return self.suite.classical_sign(number, k, tbs) + self.suite.dsa.sign(private, tbs)

    def put(self, name, label, octets, signer=None, closing=b""):
        """Keeps a message of which `octets` is header and body; returns its hash (without the closing confirmation or tag)."""
        entry = dict(type=label)
        if signer:
            tbs = to_be_signed(label, octets, self.fps(signer))
            entry.update(signer=signer, tbs_digest=self.suite.hash.digest(tbs))
            octets += self.sign(signer, tbs, name)
        entry["hash"] = self.suite.hash.digest(octets)
        entry["octets"] = octets + closing
        self.messages[name] = entry
        return entry["hash"]

    def octets(self, name):
        return self.messages[name]["octets"]

    def signed(self, name, label, signer, body):
        return self.put(name, label, whole(self.suite, label, EPOCH, body), signer)

    # the steps

    def run(self):
        for name in ("terminal_a", "terminal_b", "kms_a", "kms_b", "cmsp", "iam"):
            self.party(name)
        for name in ("static_a", "ephemeral_a", "enrol_ephemeral", "offer_ephemeral", "ax_ephemeral", "charge_ephemeral"):
            self.key(name)
        self.given("sid_wk", 16)
        self.given("call_nonce", 16)
        self.inputs["sid_call"] = sid_call(CALLER, CALLEE, self.inputs["call_nonce"])
        for name in ("nonce_enrol", "nonce_request", "nonce_deliver", "nonce_offer", "nonce_accept", "nonce_i", "nonce_r"):
            self.given(name, 32)
        for name in ("enrolment_secret", "injected_key", "authentication_key", "distribution_key", "transport_key", "nonce_charge", "share_0", "share_1", "wk_same_domain"):
            self.given(name, 32)
        for name in ("path_id_0", "path_id_1"):
            self.given(name, 8)
        for name in ("key_id_0", "key_id_1", "token_id", "medium", "charge"):
            self.given(name, 16)
        for name in ("csr_classical", "csr_pq", "issuer_classical", "issuer_pq", "token"):
            self.given(name, 48)
        self.derived["enc_kid"] = key_id(self.suite, self.public("static_a"))
        self.enrolment("kms_made")
        self.enrolment("terminal_made")
        self.applications()
        self.token()
        self.sessions()
        for n in (0, 1, 2):
            self.step9(n)
        self.deliveries()
        self.ax()
        for n in (0, 2):
            self.supply(n)
        self.charges()
        self.joint()
        return self.document()

    def chain(self, party, kind):
        return opaque(self.parties[party][f"certificate_{kind}"], 65535) + opaque(self.inputs[f"issuer_{kind}"], 65535)

    def enrolment(self, mode):
        suite, h = self.suite, self.suite.hash
        made = mode == "kms_made"
        ephemeral, static = self.public("enrol_ephemeral"), self.public("static_a")
        body = (
            opaque(UID_A, 64) + opaque(CALLER, 32) + opaque(KMS_A, 64) + u8(1) + u8(1 if made else 2) + self.inputs["nonce_enrol"]
            + opaque(self.inputs["csr_classical"], 4096) + opaque(self.inputs["csr_pq"], 16384) + ephemeral["point"] + ephemeral["ml_kem"]
            + opaque(b"" if made else static["point"], suite.curve.size * 2 + 1) + opaque(b"" if made else static["ml_kem"], 65535)
        )  # fmt: skip
        before_mac = header(suite, "Enrol", len(body) + h.size, EPOCH) + body
        mac_key = h.expand(h.extract(b"", self.inputs["enrolment_secret"]), b"QFCI-v2 enrol mac", 32)
        h_enrol = self.put(f"enrol_{mode}", "Enrol", before_mac + h.hmac(mac_key, before_mac))
        kem = self.encapsulate(f"enrol_{mode}", "enrol_ephemeral", "to_ephemeral")
        ss = hybrid_secret(suite, kem, b"EnrolDeliver\0" + h_enrol)
        self.derived[f"ss_enrol_{mode}"] = ss
        key, iv = key_and_iv(suite, ss, "enrol", h_enrol)
        before = (
            h_enrol + opaque(UID_A, 64) + opaque(self.chain("terminal_a", "classical"), 16384) + opaque(self.chain("terminal_a", "pq"), 65535)
            + u8(1 if made else 2) + kem["ct_classical"] + kem["ct_ml_kem"] + self.derived["enc_kid"] + u64(TS)
        )  # fmt: skip
        plaintext = u8(1 if made else 2) + (self.keys["static_a"]["scalar"] + self.keys["static_a"]["seed"] if made else b"") + self.fps("kms_a")
        octets = sealed_field(suite, "EnrolDeliver", EPOCH, before, b"", key, iv, plaintext, 512)
        h_deliver = self.put(f"enrol_deliver_{mode}", "EnrolDeliver", octets, "kms_a")
        if made:
            self.signed("enrol_receipt", "EnrolReceipt", "terminal_a", h_deliver + opaque(UID_A, 64) + u8(1))

    def applications(self):
        suite, h = self.suite, self.suite.hash
        ephemeral = self.public("ephemeral_a")

        def body(flags, ext):
            return (
                self.inputs["sid_wk"] + self.inputs["sid_call"] + u8(1) + opaque(UID_A, 64) + opaque(CALLER, 32) + opaque(CALLEE, 32)
                + opaque(KMS_A, 64) + self.inputs["nonce_request"] + u64(TS) + u8(2) + u8(flags) + h.digest(self.inputs["token"])
                + self.fps("terminal_a") + self.derived["enc_kid"] + opaque(ephemeral["point"] if flags & 1 else b"", 2 * suite.curve.size + 1)
                + opaque(ephemeral["ml_kem"] if flags & 1 else b"", 65535) + opaque(ext, 65535)
            )  # fmt: skip

        self.signed("key_request", "KeyRequest", "terminal_a", body(0, b""))
        self.signed("key_request_eph", "KeyRequest", "terminal_a", body(1, b""))
        mac_key = h.expand(h.extract(b"", self.inputs["injected_key"]), b"QFCI-v2 inj req", 32)
        mac = h.hmac(mac_key, whole(suite, "KeyRequest", EPOCH, body(1, b"")))
        self.derived["injected_request_mac"] = mac
        self.signed("key_request_inj", "KeyRequest", "terminal_a", body(3, u16(1) + opaque(u32(5) + mac, 65535)))
        proof = u32(9) + charged_mac(suite, self.inputs["authentication_key"], b"QFCI-v2 sym req", whole(suite, "KeyRequest", EPOCH, body(1, b"")))
        second = u16(2) + opaque(proof, 65535)
        mac = charged_mac(suite, self.inputs["injected_key"], b"QFCI-v2 inj req", whole(suite, "KeyRequest", EPOCH, body(9, second)))
        self.signed("key_request_sym", "KeyRequest", "terminal_a", body(11, u16(1) + opaque(u32(5) + mac, 65535) + second))

    def sessions(self):
        h = self.suite.hash
        hreq = self.messages["key_request_eph"]["hash"]

        def body(uid_b, kms_b, previous, fps_b):
            return (
                self.inputs["sid_wk"] + self.inputs["sid_call"] + opaque(CALLER, 32) + opaque(CALLEE, 32) + opaque(UID_A, 64) + opaque(uid_b, 64)
                + opaque(KMS_A, 64) + opaque(kms_b, 64) + hreq + previous + self.fps("kms_a") + fps_b + u64(TS) + opaque(b"", 65535)
            )  # fmt: skip

        opened = self.signed("session_open", "SessionOpen", "kms_a", body("", "", b"\0" * h.size, b"\0" * 2 * h.size))
        for name, label in (("session_notify", "SessionNotify"), ("session_grant", "SessionGrant")):
            self.signed(name, label, "cmsp", body(UID_B, KMS_B, opened, self.fps("kms_b")))

        # The same session while CMSP does not answer. Two pages of one number each.
        pages = b""
        for place, (number, uid, kms) in enumerate(((CALLER, UID_A, KMS_A), (CALLEE, UID_B, KMS_B))):
            page = u16(1) + opaque(number, 32) + opaque(uid, 64) + opaque(kms, 64)
            pages += self.put(f"directory_page_{place}", "DirectoryPage", whole(self.suite, "DirectoryPage", EPOCH, page))
        head = u64(TS) + u64(TS) + u64(TS + LIFETIME_MS) + u64(2) + u16(2) + pages + self.fps("cmsp")
        directory = self.signed("directory", "Directory", "cmsp", head)
        self.signed("directory_open", "DirectoryOpen", "kms_a", body(UID_B, KMS_B, directory, b"\0" * 2 * h.size) + u64(TS))

    def token(self):
        body = (
            opaque(UID_A, 64) + self.inputs["token_id"] + opaque(KMS_A, 64) + self.fps("terminal_a") + u64(TS) + u64(TS + LIFETIME_MS) + u8(4)
        )  # fmt: skip
        self.signed("token", "Token", "iam", body)

    def step9(self, n):
        suite, ephemeral = self.suite, self.public("offer_ephemeral")
        shares = b"".join(self.inputs[f"path_id_{j}"] + self.inputs[f"key_id_{j}"] for j in range(n))
        offer = (
            self.inputs["sid_wk"] + self.inputs["sid_call"] + opaque(KMS_A, 64) + opaque(KMS_B, 64) + self.messages["session_grant"]["hash"]
            + self.inputs["nonce_offer"] + u64(TS) + u8(n) + shares + ephemeral["point"] + ephemeral["ml_kem"] + self.fps("kms_a")
        )  # fmt: skip
        h_offer = self.signed(f"kms_offer_{n}", "KmsOffer", "kms_a", offer)
        kem = self.encapsulate(f"offer_{n}", "offer_ephemeral", "to_ephemeral")
        accept = (
            self.inputs["sid_wk"] + h_offer + self.inputs["nonce_accept"] + kem["ct_classical"] + kem["ct_ml_kem"] + u8((1 << n) - 1)
            + self.fps("kms_b")
        )  # fmt: skip
        name = f"kms_accept_{n}"
        h_accept = self.signed(name, "KmsAccept", "kms_b", accept)
        th9 = suite.hash.digest(self.octets(f"kms_offer_{n}") + self.octets(name))
        k_q = bytes(32)
        for j in range(n):
            k_q = bytes(a ^ b for a, b in zip(k_q, self.inputs[f"share_{j}"]))
        wk, kc_a, kc_b = step9(suite, th9, k_q, kem, self.inputs["sid_wk"], self.inputs["sid_call"])
        self.messages[name]["octets"] += kc_b
        self.put(f"kms_confirm_{n}", "KmsConfirm", whole(suite, "KmsConfirm", EPOCH, self.inputs["sid_wk"] + h_accept + kc_a))
        self.derived.update({f"th9_{n}": th9, f"k_q_{n}": k_q, f"wk_{n}": wk, f"kc_a_{n}": kc_a, f"kc_b_{n}": kc_b})

    def deliver(self, name, request, flags, wk, assurance, th9, paths, peer_kms):
        """paths: (n_paths, path_min)."""
        suite, h = self.suite, self.suite.hash
        h_req = self.messages[request]["hash"]
        kem = self.encapsulate(f"{name}_static", "static_a", "to_static")
        ss = hybrid_secret(suite, kem, b"KeyDeliver\0" + h_req)
        self.derived[f"ss_{name}_static"] = ss
        ephemeral = b""
        if flags & 1:
            second = self.encapsulate(f"{name}_ephemeral", "ephemeral_a", "to_ephemeral")
            ss = mix_ephemeral(suite, ss, second)
            ephemeral = second["ct_classical"] + second["ct_ml_kem"]
        if flags & 2:
            ss = mix_injected(suite, ss, self.inputs["injected_key"], 5, h_req)
        key, iv = key_and_iv(suite, ss, "step11", h_req)
        self.derived.update({f"ss_{name}": ss, f"key_{name}": key, f"iv_{name}": iv})
        before = (
            h_req + self.inputs["sid_wk"] + self.inputs["sid_call"] + opaque(UID_A, 64) + opaque(KMS_A, 64) + self.inputs["nonce_deliver"] + u64(TS)
            + u64(TS + LIFETIME_MS) + u8(flags) + self.derived["enc_kid"] + kem["ct_classical"] + kem["ct_ml_kem"] + ephemeral
        )  # fmt: skip
        plaintext = (
            wk + u8(assurance) + u8(paths[0]) + u8(paths[1]) + opaque(UID_B, 64) + opaque(CALLEE, 32) + opaque(peer_kms, 64)
            + self.fps("terminal_b") + th9 + opaque(self.inputs["token"], 4096)
        )  # fmt: skip
        octets = sealed_field(suite, "KeyDeliver", EPOCH, before, self.fps("kms_a"), key, iv, plaintext, 8192)
        return self.put(name, "KeyDeliver", octets, "kms_a")

    def deliveries(self):
        h = self.suite.hash
        zero = b"\0" * h.size
        self.deliver("deliver", "key_request", 0, self.derived["wk_0"], 2, self.derived["th9_0"], (0, 0), KMS_B)
        h_deliver = self.deliver("deliver_eph", "key_request_eph", 1, self.derived["wk_2"], 4, self.derived["th9_2"], (2, 1), KMS_B)
        self.deliver("deliver_inj", "key_request_inj", 3, self.derived["wk_1"], 0x83, self.derived["th9_1"], (1, 1), KMS_B)
        self.deliver("deliver_same_domain", "key_request_eph", 5, self.inputs["wk_same_domain"], 1, zero, (0, 0), KMS_A)
        self.deliver("deliver_directory", "key_request_eph", 0x11, self.derived["wk_0"], 2, self.derived["th9_0"], (0, 0), KMS_B)
        self.signed("deliver_ack", "DeliverAck", "terminal_a", self.inputs["sid_wk"] + opaque(UID_A, 64) + h_deliver + u8(1))
        offending = h.digest(self.octets("key_request"))
        self.signed("reject", "Reject", "kms_a", offending + u8(4) + opaque("no subscriber +8613900000002", 512) + u64(TS))
        for name, wk in (("wk_2", self.derived["wk_2"]), ("wk_same_domain", self.inputs["wk_same_domain"])):
            self.derived[f"fingerprint_{name}"] = wk_fingerprint(self.suite, wk)

    def charges(self):
        """Injection: a charge over the wire with public keys alone, one under a distribution key, an order to lock, and a charge by file."""
        suite, h, ephemeral = self.suite, self.suite.hash, self.public("charge_ephemeral")
        medium, charge = self.inputs["medium"], self.inputs["charge"]
        keys = [self.given(f"charged_{i}", 32) for i in range(4)]

        def request(flags, ext):
            return (
                opaque(UID_A, 64) + opaque(KMS_A, 64) + medium + self.inputs["nonce_charge"] + u64(TS) + u16(1) + u16(2) + u16(1) + u8(flags)
                + ephemeral["point"] + ephemeral["ml_kem"] + opaque(ext, 65535)
            )  # fmt: skip

        self.signed("charge_request", "ChargeRequest", "terminal_a", request(0, b""))
        mac = charged_mac(suite, self.inputs["distribution_key"], b"QFCI-v2 charge req", whole(suite, "ChargeRequest", EPOCH, request(0, b"")))
        self.signed("charge_request_inj", "ChargeRequest", "terminal_a", request(2, u16(1) + opaque(u32(3) + mac, 65535)))
        sets = [(8, keys[:1]), (64, keys[1:3]), (4, keys[3:])]
        for name, flags, charged in (("", 0, 3), ("_inj", 2, 2)):
            h_req = self.messages[f"charge_request{name}"]["hash"]
            kem = self.encapsulate(f"charge{name}", "charge_ephemeral", "to_ephemeral")
            ss = hybrid_secret(suite, kem, b"ChargeDeliver\0" + h_req)
            if flags & 2:
                ss = mix_distribution(suite, ss, self.inputs["distribution_key"], 3, h_req)
            key, iv = key_and_iv(suite, ss, "charge", h_req)
            before = h_req + opaque(UID_A, 64) + medium + charge + u64(TS) + u8(2) + u8(flags) + kem["ct_classical"] + kem["ct_ml_kem"]
            octets = sealed_field(suite, "ChargeDeliver", EPOCH, before, b"", key, iv, charge_payload(charged, 1, sets), 32768)
            self.derived[f"ss_charge{name}"] = ss
            self.put(f"charge_deliver{name}", "ChargeDeliver", octets, "kms_a")
        h_req = self.messages["charge_request"]["hash"]
        lock = h_req + opaque(UID_A, 64) + medium + charge + u64(TS) + u8(3) + u8(0) + opaque(b"", 32768)
        self.signed("charge_deliver_lock", "ChargeDeliver", "kms_a", lock)
        h_deliver = self.messages["charge_deliver"]["hash"]
        self.signed("charge_receipt", "ChargeReceipt", "terminal_a", opaque(UID_A, 64) + medium + charge + h_deliver + u8(1))
        transport = self.inputs["transport_key"]
        self.derived["charge_file"] = charge_file(suite, transport, medium, charge, 7, TS, charge_payload(1, 2, sets))
        self.derived["transport_key_1"] = next_transport(suite, transport)
        self.derived["transport_key_2"] = next_transport(suite, next_transport(suite, transport))

    def joint(self):
        """What one signature over three of the deliveries is made over, and their paths: leaves and nodes by their prefix octets, a fourth place that nobody has."""
        h, size = self.suite.hash, 2 * self.suite.curve.size + self.suite.dsa.signature_size
        names = ("deliver", "deliver_eph", "deliver_same_domain")
        unsigned = [self.octets(name)[:-size] for name in names]
        a, b, c, nobody = [h.digest(u8(0) + to_be_signed("KeyDeliver", one, self.fps("kms_a"))) for one in unsigned] + [h.digest(u8(0))]
        left, right = h.digest(u8(1) + a + b), h.digest(u8(1) + c + nobody)
        self.derived["joint_root"] = u8(2) + h.digest(u8(1) + left + right)
        self.derived["joint_tbs_digest"] = h.digest(to_be_signed("Joint", self.derived["joint_root"], self.fps("kms_a")))
        for place, (name, path) in enumerate(zip(names, (b + right, a + right, nobody + left))):
            self.derived[f"joint_path_{name}"] = u8(place) + u8(2) + path

    def ax(self):
        suite, h = self.suite, self.suite.hash
        wk, ephemeral, sids = self.derived["wk_2"], self.public("ax_ephemeral"), self.inputs["sid_wk"] + self.inputs["sid_call"]
        first = whole(
            suite, "AX1", EPOCH,
            sids + opaque(CALLER, 32) + opaque(CALLEE, 32) + self.inputs["nonce_i"] + ephemeral["point"] + ephemeral["ml_kem"] + self.fps("terminal_a"),
        )  # fmt: skip
        early = early_secret(suite, wk)
        tag = h.hmac(h.expand(early, b"QFCI-v2 ax1", 32), h.digest(first))
        self.put("ax1", "AX1", first, closing=tag)
        kem = self.encapsulate("ax", "ax_ephemeral", "to_ephemeral")
        before = self.inputs["nonce_r"] + kem["ct_classical"] + kem["ct_ml_kem"]
        proof_size = 2 * h.size + 2 * suite.curve.size + suite.dsa.signature_size + 16
        front = header(suite, "AX2", len(before) + 2 + proof_size, EPOCH) + before
        th2 = h.digest(first + tag + front)
        handshake = handshake_secret(suite, early, kem)
        key, iv = key_and_iv(suite, handshake, "hs r", th2)
        proof = self.fps("terminal_b") + self.sign("terminal_b", to_be_signed("AX2", th2, self.fps("terminal_b")), "ax2")
        sealed2 = suite.seal(key, iv, th2, proof)
        self.put("ax2", "AX2", front + opaque(sealed2, 8192))
        th3 = h.digest(th2 + sealed2)
        key, iv = key_and_iv(suite, handshake, "hs i", th3)
        proof = self.fps("terminal_a") + self.sign("terminal_a", to_be_signed("AX3", th3, self.fps("terminal_a")), "ax3")
        front = header(suite, "AX3", 2 + proof_size, EPOCH)
        self.put("ax3", "AX3", front + opaque(suite.seal(key, iv, th3 + front, proof), 8192))
        master = master_secret(suite, handshake, th3)
        self.derived.update(ax1_tag=tag, th2=th2, th3=th3, early=early, handshake=handshake, master=master)
        self.derived.update(media(suite, master, "media", sids))
        self.derived.update(media(suite, early, "escrow", sids + self.inputs["nonce_i"] + self.inputs["nonce_r"]))
        self.derived["sas"] = h.expand(master, b"QFCI-v2 sas\0", 4)

    def supply(self, n):
        suite = self.suite
        for name in ("supply_id", "nonce_supply_offer", "nonce_supply_accept"):
            self.given(f"{name}_{n}", 16 if name == "supply_id" else 32)
        self.key(f"supply_ephemeral_{n}")
        ephemeral, supply_id = self.public(f"supply_ephemeral_{n}"), self.inputs[f"supply_id_{n}"]
        shares = b"".join(self.inputs[f"path_id_{j}"] + self.inputs[f"key_id_{j}"] for j in range(n))
        offer = (
            supply_id + opaque(KMS_A, 64) + opaque(KMS_B, 64) + u8(n + 1) + self.inputs[f"nonce_supply_offer_{n}"] + u64(TS) + u8(1 if n else 0)
            + u8(n) + shares + ephemeral["point"] + ephemeral["ml_kem"] + self.fps("kms_a")
        )  # fmt: skip
        h_offer = self.signed(f"supply_offer_{n}", "SupplyOffer", "kms_a", offer)
        kem = self.encapsulate(f"supply_{n}", f"supply_ephemeral_{n}", "to_ephemeral")
        accept = (
            supply_id + h_offer + self.inputs[f"nonce_supply_accept_{n}"] + kem["ct_classical"] + kem["ct_ml_kem"] + u8((1 << n) - 1) + u8(n)
            + self.fps("kms_b")
        )  # fmt: skip
        name = f"supply_accept_{n}"
        self.signed(name, "SupplyAccept", "kms_b", accept)
        transcript = suite.hash.digest(self.octets(f"supply_offer_{n}") + self.octets(name))
        keys = Supply(suite, transcript, self.derived[f"k_q_{n}"], kem, supply_id)
        self.messages[name]["octets"] += keys.confirmation()
        last = keys.key(n, 255)
        self.derived.update({
            f"supply_transcript_{n}": transcript, f"supply_confirmation_{n}": keys.confirmation(), f"supply_batch_{n}": keys.batch(n),
            f"supply_first_key_{n}": keys.key(n, 0), f"supply_last_key_{n}": last,
            f"sae_key_{n}": sae_key(suite, last, keys.batch(n) + u32(255), "sae-a", ["sae-b"], 32),
            f"sae_key_long_{n}": sae_key(suite, keys.key(n, 0) + last, keys.batch(n) + u32(0), "sae-a", ["sae-b", "s" * 256], 61),
        })  # fmt: skip

    def document(self):
        def plain(value):
            if isinstance(value, dict):
                return {k: plain(v) for k, v in value.items() if not k.startswith("_")}
            return value.hex() if isinstance(value, bytes) else value

        return dict(
            suite=self.suite.number, name=self.suite.name, epoch=EPOCH, inputs=plain(self.inputs), parties=plain(self.parties), keys=plain(self.keys),
            kems=plain(self.kems), messages=plain(self.messages), derived=plain(self.derived),
        )  # fmt: skip


def main(arguments):
    for module in (symmetric, curves, mlkem, mldsa):
        module.check()
    document = dict(
        origin="tests/vectors/qfc2/generate.py; do not edit",
        common=dict(caller=CALLER, callee=CALLEE, uid_a=UID_A, uid_b=UID_B, kms_a=KMS_A, kms_b=KMS_B, ts_ms=TS, lifetime_ms=LIFETIME_MS),
        suites=[Scenario(suite).run() for suite in SUITES],
    )
    text = json.dumps(document, indent=1) + "\n"
    target = pathlib.Path(__file__).with_name("qfc2.json")
    if arguments == ["--check"]:
        return 0 if target.read_text() == text else 1
    if arguments:
        print(__doc__)
        return 2
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
