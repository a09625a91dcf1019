"""A thread of the daemon that hangs."""

import ctypes
import os
import pathlib

from server import eventually

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request, tid):
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}) of {tid}")


class Frozen:
    """A thread that does not run inside the block, stopped by ptrace, as by a debugger: nothing in the daemon helps.

    A tracer is a thread too: enter and exit on the same one.
    """

    def __init__(self, process, name):
        def named():  # a thread names itself once it runs
            tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
            return [int(task.name) for task in tasks if (task / "comm").read_text().strip() == name]

        self.tid = min(eventually(named, f"there is a thread {name}"))

    def __enter__(self):
        ptrace(PTRACE_SEIZE, self.tid)
        ptrace(PTRACE_INTERRUPT, self.tid)
        os.waitpid(self.tid, _WALL)
        return self

    def __exit__(self, *_):
        ptrace(PTRACE_DETACH, self.tid)
