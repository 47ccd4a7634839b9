"""Reads AUTH_KEYS_FILE again, so that keys change without a restart."""

import asyncio
import logging
import signal
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from gatehouse.signing.key_file import read_text
from gatehouse.signing.keys import BadKey, KeyRing, read_keys
from gatehouse.signing.tokens import Tokens

log = logging.getLogger("gatehouse.keys")


class KeyReloader:
    """Keeps one process's ring as the file has it: every so many seconds, and at SIGHUP."""

    def __init__(self, path: Path, *, seconds: float, tokens: Tokens) -> None:
        self._path = path
        self._seconds = seconds
        self._tokens = tokens
        self._seen: bytes | str | None = None  # the content's digest, or what was wrong with it
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._on_signal = False

    def start(self) -> None:
        """Begin, inside a running event loop."""
        if self._task is None:
            self._asked = asyncio.Event()  # of the loop that runs now
            self._task = asyncio.create_task(self._run())
            self._on_signal = self._take_signal()

    async def stop(self) -> None:
        """End, and give the signal back."""
        if self._on_signal:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            self._on_signal = False
        task, self._task = self._task, None
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def check(self) -> None:
        """Read the file now. A bad one changes nothing but the log, where it is one error."""
        try:
            seen, ring = await asyncio.to_thread(self._read)
        except Exception as error:  # whatever it is, the process goes on with the keys it has
            reason = str(error) if isinstance(error, BadKey) else type(error).__name__
            if self._seen != reason:
                self._seen = reason
                log.error("AUTH_KEYS_FILE is refused, the keys before it stay in force: %s", reason)
            return
        recovered, self._seen = isinstance(self._seen, str), seen
        if ring is None:
            return
        kids = [key.kid for key in ring.keys]
        if kids != [key.kid for key in self._tokens.expected.ring.keys]:
            self._tokens.use(ring)
            log.info("new keys are in force: %s signs, %s verify", kids[0], ", ".join(kids))
        elif recovered:
            log.info("AUTH_KEYS_FILE can be read again, with the keys that are in force")

    def _read(self) -> tuple[bytes, KeyRing | None]:
        """The content's digest, and the ring if that is another one than was seen last."""
        text = read_text(self._path)
        digest = sha256(text.encode()).digest()
        return digest, None if digest == self._seen else read_keys(text)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._seconds)
                self._asked.clear()
                self._seen = None  # whoever asks is told again what is wrong
            await self.check()

    def _take_signal(self) -> bool:
        """Listen for SIGHUP where the system has it, in the main thread, unless it is in use."""
        with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
            if signal.getsignal(signal.SIGHUP) in (signal.SIG_DFL, signal.SIG_IGN):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
                return True
        return False
