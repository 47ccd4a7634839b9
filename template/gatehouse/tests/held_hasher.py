"""A hasher that costs nothing and that a test can hold up."""

import os
import sys
import threading

from pwdlib.hashers.argon2 import Argon2Hasher


def own_nice_value() -> int:
    """This thread's; only Linux has one for each."""
    if sys.platform == "linux":
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return 10


class HeldHasher(Argon2Hasher):
    """The least Argon2, which `gate` holds up. `threads`: where it ran, at which priority."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=16, parallelism=1)
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)
        self.threads: list[tuple[int, int]] = []

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.threads.append((threading.get_ident(), own_nice_value()))
        self.started.release()
        assert self.gate.wait(5)
        return super().hash(password, salt=salt)
