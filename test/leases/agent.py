"""Runs in a guarded run and does as it is told, a line for a line: what a deploy script's tools do with names.

resolve NAME [TYPE]     RCODE ADDRESS...      asks a name server by UDP; addresses of A records, in their order
connect KEY ADDRESS     ERRNO                 TCP to port 5432, kept open as KEY; 0 is success
flow KEY ADDRESS        ERRNO                 a datagram to port 5432 by sendto(), the socket kept as KEY
again KEY               ERRNO                 a byte, or a datagram, on what is kept
close KEY               0
"""
import errno
import socket
import sys

SERVER = ("10.0.0.53", 53)
PORT = 5432
TYPES = {"A": 1, "HTTPS": 65}
kept = {}


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return bytes.fromhex("123401000001000000000000") + labels + b"\0" + TYPES[kind].to_bytes(2, "big") + b"\0\1"


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += message[at] + 1
    return at + 1


def addresses(message):
    at = skip_name(message, 12) + 4
    for _ in range(int.from_bytes(message[6:8], "big")):
        at = skip_name(message, at) + 10
        size = int.from_bytes(message[at - 2 : at], "big")
        if message[at - 10 : at - 8] == b"\0\1":
            yield socket.inet_ntoa(message[at : at + size])
        at += size


def resolve(name, kind="A"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(question(name, kind), SERVER)
        message = asking.recv(4096)
        return " ".join([str(message[3] & 15), *addresses(message)])


def number(act):
    try:
        act()
        return 0
    except OSError as error:
        return errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno


def connect(key, address):
    kept[key] = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    kept[key].settimeout(5)
    return number(lambda: kept[key].connect((address, PORT)))


def flow(key, address):
    kept[key] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept[key].peer = (address, PORT)
    return again(key)


def again(key):
    one = kept[key]
    if one.type == socket.SOCK_STREAM:
        return number(lambda: one.sendall(b"x"))
    return number(lambda: one.sendto(b"x", one.peer))


def close(key):
    kept.pop(key).close()
    return 0


class Socket(socket.socket):
    peer = None


socket.socket = Socket
for line in sys.stdin:
    command, *words = line.split()
    print(globals()[command](*words), flush=True)
