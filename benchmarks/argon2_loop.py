"""The reference: Argon2 checks in a plain loop on as many threads as cores. Prints checks/s.

Run by the service's own Python, with the parameters and the thread priority of the core's
executor. Without that priority, other work on the machine would slow one side only.
"""

import argparse
import os
import sys
import threading
import time

from gatehouse.hashing.passwords import argon2_hasher


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, required=True, help="in all, over all threads")
    parser.add_argument("--nice", type=int, default=10, help="of each thread (%(default)s)")
    asked = parser.parse_args()
    hasher = argon2_hasher()
    stored = hasher.hash("a password for this loop")
    todo = iter(range(asked.checks))
    taking = threading.Lock()
    ready = threading.Barrier(_cores() + 1)

    def work() -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), asked.nice)
        hasher.verify("a password for this loop", stored)  # the first one warms up
        ready.wait()
        while True:
            with taking:
                if next(todo, None) is None:
                    return
            hasher.verify("a password for this loop", stored)

    threads = [threading.Thread(target=work) for _ in range(_cores())]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    print(asked.checks / (time.perf_counter() - began))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
