"""Calls in a loop until its input ends, none of them twice, and says how each went: the place a call goes to is its
number. Every call must be told of once, with the verdict its caller saw."""
import errno, json, select, socket, sys, threading, time

ALLOWED, DENIED, LEARNED = '10.77.0.2', '10.77.0.3', '10.77.0.1'
seen = {}
lookups = {}


def connect(address, port):
    s = socket.socket()
    try:
        s.connect((address, port))
        how = 'connected'
    except OSError as e:
        how = errno.errorcode[e.errno]
    s.close()
    seen[f'{address}:{port}'] = how


def ask(name):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(3)
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.'))
    try:
        s.sendto(b'\x12\x34\1\0\0\1\0\0\0\0\0\0' + labels + b'\0\0\1\0\1', ('192.0.2.53', 53))
        lookups[name] = s.recv(512)[3] & 15
    except socket.timeout:
        lookups[name] = 'unanswered'
    except OSError as e:
        lookups[name] = errno.errorcode[e.errno]
    s.close()


ending = threading.Event()


def ask_on():
    number = 0
    while not ending.is_set():
        number += 1
        ask(f'a{number}.example')
        ask(f'd{number}.denied.example')
        time.sleep(0.02)


ask('first.example')
asking = threading.Thread(target=ask_on)
asking.start()
port = 1024
while port < 65000 and not select.select([sys.stdin], [], [], 0)[0]:
    port += 1
    for each in (ALLOWED, DENIED, LEARNED):
        connect(each, port)
    time.sleep(0.002)
ending.set()
asking.join()
print(json.dumps({'calls': seen, 'lookups': lookups}))
