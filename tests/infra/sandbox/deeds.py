"""What the tests have a sandbox do: a module that imports little, since each child imports it."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

MIB = 1 << 20


def echo(payload: bytes) -> bytes:
    return payload


def identity(payload: bytes) -> bytes:
    """This child's process id."""
    return str(os.getpid()).encode()


def misbehave(payload: bytes) -> bytes:
    """Does what the payload names; "fine" for anything else."""
    match payload.split():
        case [b"spin"]:
            while True:
                pass
        case [b"sleep"]:
            signal.pause()
        case [b"grow"]:
            hoard = []
            while True:
                hoard.append(bytearray(8 * MIB))
        case [b"swell", size]:
            bytearray(b"x") * int(size)
        case [b"ask", size]:
            bytes(int(size))
        case [b"abort"]:
            os.abort()
        case [b"segfault"]:
            ctypes.string_at(0)
        case [b"recurse"]:
            misbehave(payload)
        case [b"overflow"]:
            sys.setrecursionlimit(1 << 30)
            nest: list[object] = []
            for _ in range(60_000):
                nest = [nest]
            repr(nest)
        case [b"exit"]:
            os._exit(0)
        case [b"raise"]:
            raise ValueError("not today")
        case [b"connect"]:
            import socket

            socket.create_connection(("127.0.0.1", 9))
        case [b"print"]:
            print("printed by the child")
            os.write(1, b"written by the child\n")
            assert sys.stdin.read() == ""
        case [b"once", marker]:
            path = Path(os.fsdecode(marker))
            if not path.exists():
                path.touch()
                os.abort()
        case [b"environment"]:
            return f"{os.environ['PYTHONHASHSEED']} {os.environ['OMP_NUM_THREADS']}".encode()
    return b"fine"


def leave_a_mark(payload: bytes) -> bytes:
    Path(os.fsdecode(payload), str(os.getpid())).touch()
    os.abort()


def work(payload: bytes) -> bytes:
    """Uses as many tenths of a CPU second as the payload says."""
    end = time.process_time() + int(payload) / 10
    while time.process_time() < end:
        pass
    return b""
