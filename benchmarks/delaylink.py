#!/usr/bin/env python3
"""Two hosts on one machine, and a slow or lossy link between them (Linux, as root).

    delaylink.py ONE_WAY_MS [LOSS] -- COMMAND [ARGUMENT ...]

joins two network namespaces by a link that holds every packet back for ONE_WAY_MS, each way, and
loses the share LOSS of them (0 to 1, default 0); runs COMMAND; takes both away again. COMMAND finds
the namespaces in $HOST_A and $HOST_B, and their addresses in $ADDR_A and $ADDR_B.

It does what `tc netem` does, which not every kernel has: a TUN device in each namespace, and the
packets that are under way in a heap. Exits as COMMAND does, or with 2 where it cannot set up.
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
ADDRESSES = ['10.88.0.1', '10.88.0.2']
libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    """Moves this thread to the network namespace of a descriptor."""
    if libc.setns(namespace, 0):
        raise OSError(ctypes.get_errno(), 'setns failed')


def device(name, address):
    """A TUN device in the namespace `name`, up and with its address; its descriptor."""
    home = os.open('/proc/self/ns/net', os.O_RDONLY)
    there = os.open(f'/run/netns/{name}', os.O_RDONLY)
    enter(there)
    try:
        tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH22x', b'link0', IFF_TUN | IFF_NO_PI))
        for words in (f'addr add {address}/24 dev link0', 'link set link0 up txqueuelen 5000',
                      'link set lo up'):
            subprocess.run(['ip', *words.split()], check=True)
        return tun
    finally:
        enter(home)
        os.close(home)
        os.close(there)


def packets(tun):
    """The packets that wait at a device, a few at a time so that the other has its turn."""
    for _ in range(64):
        try:
            yield os.read(tun, 65536)
        except BlockingIOError:
            return


def deliver(under_way):
    """Hands over what has been under way for long enough."""
    while under_way and under_way[0][0] <= time.monotonic():
        _, _, tun, packet = heapq.heappop(under_way)
        try:
            os.write(tun, packet)
        except OSError:
            pass  # A full queue loses packets, as that of a real link does.


def carry(ends, delay, loss, over):
    """Carries packets from each end to the other until `over` is set."""
    other = dict(zip(ends, reversed(ends)))
    under_way, count = [], 0
    poll = select.epoll()
    for end in ends:
        poll.register(end, select.EPOLLIN)
    while not over.is_set():
        deliver(under_way)
        pause = max(under_way[0][0] - time.monotonic(), 0) if under_way else 0.2
        for end, _ in poll.poll(min(pause, 0.2)):
            for packet in packets(end):
                if random.random() >= loss:
                    count += 1
                    due = time.monotonic() + delay
                    heapq.heappush(under_way, (due, count, other[end], packet))


def run(delay, loss, command):
    names = [f'delaylink-{os.getpid()}-{side}' for side in 'ab']
    over = threading.Event()
    try:
        for name in names:
            subprocess.run(['ip', 'netns', 'add', name], check=True)
        ends = [device(name, address) for name, address in zip(names, ADDRESSES)]
        threading.Thread(target=carry, args=(ends, delay, loss, over), daemon=True).start()
        places = dict(zip(['HOST_A', 'HOST_B', 'ADDR_A', 'ADDR_B'], names + ADDRESSES))
        return subprocess.run(command, env={**os.environ, **places}).returncode
    except (OSError, subprocess.CalledProcessError) as error:
        print(f'delaylink: {error}', file=sys.stderr)
        return 2
    finally:
        over.set()
        for name in names:
            subprocess.run(['ip', 'netns', 'del', name], stderr=subprocess.DEVNULL)


def main(words):
    cut = words.index('--') if '--' in words else 0
    if cut not in (1, 2) or cut == len(words) - 1:
        print(__doc__, file=sys.stderr)
        return 2
    return run(float(words[0]) / 1000, float(words[1]) if cut == 2 else 0.0, words[cut + 1:])


sys.exit(main(sys.argv[1:]))
