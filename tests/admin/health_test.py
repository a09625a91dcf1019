"""The health endpoint tells the truth: a thread that hangs makes the server unwell, by name, and well again when it goes on.

The thread is frozen with ptrace, as by a debugger; nothing in the daemon helps.
"""

import concurrent.futures
import ctypes
import os
import unittest

from admin import Client, Server, eventually

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request, tid):
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}) of {tid}")


def threads_named(process, name):
    folder = f"/proc/{process.pid}/task"
    for tid in os.listdir(folder):
        try:
            with open(f"{folder}/{tid}/comm") as comm:
                if comm.read().strip() == name:
                    yield int(tid)
        except FileNotFoundError:
            pass  # one that has ended since, as those do that touch the pool at start


class Frozen:
    """A thread that does not run inside the block. A tracer is a thread too: enter and exit on the same one."""

    def __init__(self, process, name):
        self.tid = eventually(lambda: min(threads_named(process, name), default=None), f"there is a thread {name}")

    def __enter__(self):
        ptrace(PTRACE_SEIZE, self.tid)
        ptrace(PTRACE_INTERRUPT, self.tid)
        os.waitpid(self.tid, _WALL)
        return self

    def __exit__(self, *_):
        ptrace(PTRACE_DETACH, self.tid)


def what_is_told(thread, loop):
    """Of a server whose thread is frozen: the reason, and whether all was well before and after."""
    server = Server(["--l1-size-gb", "0.0625"])
    try:
        client = Client(server.http)
        before = client.get("/healthcheck").status
        with Frozen(server.process, thread):
            # What waits for the thread, housekeeping for a request thread, may be missed a moment earlier.
            answer = eventually(
                lambda: (a := client.get("/healthcheck")).status == 503 and loop in a.json["reason"] and a,
                f"the {loop} is missed",
            )
            ready = client.get("/readyz").status
        eventually(lambda: client.get("/healthcheck").json == {"status": "healthy"}, "it is well again")
        client.close()
        return before, ready, answer.json, server.stop()
    finally:
        server.discard()


class Health(unittest.TestCase):
    def test_every_loop_is_missed_when_it_hangs(self):
        loops = {"lmcache-io": "I/O thread 0", "lmcache-request": "request thread", "lmcache-copy": "copy thread 0",
                 "lmcache-admin": "admin thread"}
        with concurrent.futures.ThreadPoolExecutor(len(loops)) as pool:
            for thread, (before, ready, told, code) in zip(loops, pool.map(what_is_told, loops, loops.values())):
                with self.subTest(thread):
                    self.assertEqual((before, ready, code), (200, 503, 0))
                    self.assertEqual(told["status"], "unhealthy")
                    self.assertRegex(told["reason"], r"^not come round for \d+ s: ")


if __name__ == "__main__":
    unittest.main()
