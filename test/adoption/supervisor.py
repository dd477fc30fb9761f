"""What systemd does for the daemon, and a network of its own: holds the sockets of the DNS proxy, starts the host, kills it
with SIGKILL at random moments and starts it again. Run with `unshare --net`. Arguments: how often to kill, then the
host's command. Says `up` when the host is ready for the first time, then `killed` when it is through and the host is up
again; ends the host with SIGTERM when its input ends."""
import os, random, signal, socket, subprocess, sys, threading, time

ADDRESSES = ('10.77.0.1/32', '10.77.0.2/32', '10.77.0.3/32')


def held(family, address, port, kind):
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    if kind == socket.SOCK_STREAM:
        s.listen(128)
    os.set_inheritable(s.fileno(), True)
    return s


def answer():
    """A name server: every name has the address 10.77.0.1."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('127.53.0.1', 53))

    def serve():
        while True:
            query, who = s.recvfrom(512)
            end = query.index(b'\0', 12) + 5
            tail = bytes.fromhex('c00c00010001000002580004') + bytes((10, 77, 0, 1))
            s.sendto(query[:2] + bytes.fromhex('81800001000100000000') + query[12:end] + tail, who)

    threading.Thread(target=serve, daemon=True).start()


def start(command, sockets):
    host = subprocess.Popen(command, pass_fds=[s.fileno() for s in sockets], stdout=subprocess.PIPE)
    line = host.stdout.readline()
    if line != b'ready\n':
        sys.exit(f'the host did not start: {line!r}')
    return host


subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
for each in ADDRESSES:
    subprocess.run(['ip', 'addr', 'add', each, 'dev', 'lo'], check=True)
answer()
udp = held(socket.AF_INET, '127.86.0.1', 0, socket.SOCK_DGRAM)
tcp = held(socket.AF_INET, '127.86.0.1', udp.getsockname()[1], socket.SOCK_STREAM)
command = sys.argv[2:] + [str(udp.fileno()), str(tcp.fileno())]
host = start(command, (udp, tcp))


def give_up(*_):
    host.kill()
    os._exit(1)


signal.signal(signal.SIGTERM, give_up)
print('up', flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    time.sleep(random.uniform(0, 0.4))
    host.send_signal(signal.SIGKILL)
    host.wait()
    time.sleep(random.uniform(0, 0.1))
    host = start(command, (udp, tcp))
print('killed', flush=True)
sys.stdin.readline()
host.send_signal(signal.SIGTERM)
print(host.stdout.read().decode(), end='', flush=True)
sys.exit(host.wait())
