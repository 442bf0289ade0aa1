#!/usr/bin/env python3
"""An application that speaks ETSI GS QKD 004 in the QUBIP binding, written from the binding's description alone (docs/standards.md): Python's standard
library, TLS with certificates both ways. Shares no code with the program that it tries.

  etsi004_client.py talk   ROOTS A.pem A.key PORT-A B.pem B.key PORT-B C.pem C.key   a whole conversation and the refusals; C is another application of A's site
  etsi004_client.py chunk  ROOTS A.pem A.key PORT-A B.pem B.key PORT-B KSID INDEX    one chunk at both ends, as JSON; KSID "new" opens a stream first
"""
import json
import socket
import ssl
import struct
import sys
import uuid

VERSION = (1, 0, 1)
OPEN, GET, CLOSE = 0x02, 0x04, 0x08
NULL = uuid.UUID(int=0)
MIMETYPE = "application/json"


class Refused(Exception):
    """The other end hung up."""


class Application:
    def __init__(self, roots, certificate, key, port, name, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(roots)
        if certificate:
            context.load_cert_chain(certificate, key)
        if version:
            context.minimum_version = context.maximum_version = version
        self.name = name
        self.connection = context.wrap_socket(socket.create_connection(("localhost", int(port)), timeout=90), server_hostname="localhost")

    def _receive(self, size):
        out = b""
        while len(out) < size:
            try:
                more = self.connection.recv(size - len(out))
            except ConnectionError:
                more = b""
            if not more:
                raise Refused()
            out += more
        return out

    def raw(self, octets):
        self.connection.sendall(octets)
        head = self._receive(8)
        assert tuple(head[:3]) == VERSION, head
        return head[3], self._receive(struct.unpack("!I", head[4:])[0])

    def ask(self, service, payload):
        answered, out = self.raw(struct.pack("!BBBBI", *VERSION, service, len(payload)) + payload)
        assert answered == service + 1, answered
        return out

    def open(self, peer, ksid=NULL, source=None, chunk=32, max_bps=0, min_bps=0, jitter=0, priority=0, timeout=10000, ttl=0, mimetype=MIMETYPE):
        qos = struct.pack("!7I256s", chunk, max_bps, min_bps, jitter, priority, timeout, ttl, mimetype.encode())
        out = self.ask(OPEN, (source or self.name).encode() + b"\0" + peer.encode() + b"\0" + qos + ksid.bytes)
        status, *granted = struct.unpack("!I7I256s16s", out)
        return status, granted[:7], uuid.UUID(bytes=granted[8])

    def get(self, ksid, index, room=1024):
        out = self.ask(GET, ksid.bytes + struct.pack("!II", index, room))
        status = struct.unpack("!I", out[:4])[0]
        if status:
            return status, out[4:], b""
        given, size = struct.unpack("!II", out[4:12])
        assert given == index
        key, rest = out[12:12 + size], out[12 + size:]
        assert struct.unpack("!I", rest[:4])[0] == len(rest) - 4
        return status, key, rest[4:]

    def close(self, ksid):
        return struct.unpack("!I", self.ask(CLOSE, ksid.bytes))[0]


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got!r} where {wanted!r} belongs")
    print("ok:", what)


def conversation(roots, a_cert, a_key, a_port, b_cert, b_key, b_port, c_cert, c_key):
    a = Application(roots, a_cert, a_key, a_port, "sae-a", ssl.TLSVersion.TLSv1_3)
    b = Application(roots, b_cert, b_key, b_port, "sae-b", ssl.TLSVersion.TLSv1_2)
    status, qos, ksid = a.open("sae-b")
    expect("the first end opens, the other is not there yet", status, 1)
    expect("an id is allocated", ksid != NULL, True)
    expect("the other end opens under it", b.open("sae-a", ksid)[::2], (0, ksid))
    keys = set()
    for index in range(100):
        near, far = (a.get(ksid, index), b.get(ksid, index)) if index % 2 else (b.get(ksid, index), a.get(ksid, index))
        if near[0] or far[0] or near[1] != far[1] or len(near[1]) != 32:
            sys.exit(f"chunk {index}: {near[0]} {far[0]}, alike: {near[1] == far[1]}")
        metadata = json.loads(near[2])
        assert set(metadata) == {"age", "hops"} and metadata["hops"] >= 0, metadata
        keys.add(near[1])
    expect("100 chunks are alike at both ends and differ from each other", len(keys), 100)
    expect("a chunk is given once", (a.get(ksid, 7)[0], b.get(ksid, 7)[0]), (2, 2))
    expect("no one jumps far ahead", a.get(ksid, 4000000000)[0], 2)
    status, needed, _ = a.get(ksid, 100, 3)
    expect("too little room for the metadata", status, 8)
    expect("the needed room is enough, the chunk is still there", a.get(ksid, 100, struct.unpack("!I", needed)[0])[0], 0)

    c = Application(roots, c_cert, c_key, a_port, "sae-c")
    expect("another application's stream", (c.get(ksid, 101)[0], c.close(ksid)), (4, 4))
    expect("an id that is in use", (c.open("sae-b", ksid)[0], a.open("sae-b", ksid)[0]), (5, 5))
    expect("a source that is not the certificate's", a.open("sae-b", source="sae-c")[0], 4)
    expect("a destination that nobody knows", a.open("nobody")[0], 4)
    status, counter, _ = a.open("sae-b", chunk=1 << 20, ttl=1 << 30)
    expect("a QoS that cannot be had", status, 7)
    status, _, lonely = a.open("sae-b", chunk=counter[0], ttl=counter[6], timeout=300)
    expect("its counter-proposal", status, 1)
    expect("a GET_KEY without the other application", a.get(lonely, 0)[0], 3)
    slow = a.open("sae-c", chunk=32, max_bps=256, timeout=300)[2]
    expect("a stream within the site", c.open("sae-a", slow)[0], 0)
    expect("its chunk", a.get(slow, 0)[1], c.get(slow, 0)[1])
    expect("more than Max_bps allows", 6 in (a.get(slow, 1 + turn)[0] for turn in range(5)), True)
    for bad in (struct.pack("!BBBBI", 1, 0, 2, CLOSE, 16) + ksid.bytes, struct.pack("!BBBBI", *VERSION, 0x7F, 0), struct.pack("!BBBBI", *VERSION, CLOSE, 1 << 31)):
        try:
            Application(roots, a_cert, a_key, a_port, "sae-a").raw(bad)
            sys.exit("what is no request of the binding was answered")
        except Refused:
            print("ok: what is no request of the binding ends the connection")
    try:
        Application(roots, None, None, a_port, "nobody").close(ksid)
        sys.exit("an application without a certificate was answered")
    except (ssl.SSLError, Refused):
        print("ok: no certificate, no answer")

    expect("both close", (a.close(ksid), b.close(ksid)), (0, 0))
    expect("what is closed stays closed", (a.close(ksid), a.get(ksid, 101)[0], b.open("sae-a", ksid)[0]), (4, 4, 5))
    expect("the rest closes", (a.close(lonely), a.close(slow), c.close(slow)), (0, 0, 0))
    print("all is well")


def one_chunk(roots, a_cert, a_key, a_port, b_cert, b_key, b_port, ksid, index):
    """Each end's status (null: it did not answer) and chunk."""
    ends, out = [], {"ksid": ksid, "status": [None, None], "chunk": ["", ""]}
    for name, cert, key, port in (("sae-a", a_cert, a_key, a_port), ("sae-b", b_cert, b_key, b_port)):
        try:
            ends.append(Application(roots, cert, key, port, name))
        except OSError:
            ends.append(None)
    try:
        if ksid == "new":
            status, _, opened = ends[0].open("sae-b", timeout=2000)
            joined = ends[1].open("sae-a", opened, timeout=2000)[0]
            out["ksid"] = str(opened) if (status, joined) == (1, 0) else "new"
    except (AttributeError, OSError, Refused):
        pass
    if out["ksid"] != "new":
        for which, end in enumerate(ends):
            try:
                status, chunk, _ = end.get(uuid.UUID(out["ksid"]), int(index), 0)
                out["status"][which] = status
                out["chunk"][which] = chunk.hex() if status == 0 else ""
            except (AttributeError, OSError, Refused):
                pass
    print(json.dumps(out))


if __name__ == "__main__":
    if len(sys.argv) == 11 and sys.argv[1] == "talk":
        conversation(*sys.argv[2:])
    elif len(sys.argv) == 11 and sys.argv[1] == "chunk":
        one_chunk(*sys.argv[2:])
    else:
        sys.exit(__doc__)
