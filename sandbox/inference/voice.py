"""The log of a server's life: it loads, is ready, fails. TGI's lines through its journal, the others' by their dialect."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, Final, Protocol, TextIO

from sandbox.inference.dialects import Dialect
from sandbox.inference.journal import Journal

_STARTED_S: Final = time.monotonic()


class Voice(Protocol):
    """What is said when. `early`: the port is open before the model is loaded."""

    early: bool

    def begin(self) -> None:
        """Begin to load."""
        ...

    def wait(self) -> None:
        """Still load."""
        ...

    def out_of_memory(self, *, told: bool) -> None:
        """Give up the load; `told`: say of what, if that is another line."""
        ...

    def ready(self) -> None:
        """Serve from now on."""
        ...

    def died(self) -> None:
        """Fail after having served."""
        ...


class DialectVoice:
    """Fills the lines of a dialect."""

    def __init__(self, dialect: Dialect, out: TextIO, **about: Any) -> None:
        self.early = dialect.early
        self._dialect, self._out, self._about = dialect, out, about

    def begin(self) -> None:
        """Say what the server does before it is ready."""
        self.say(self._dialect.loading)

    def wait(self) -> None:
        """Say nothing."""

    def out_of_memory(self, *, told: bool) -> None:
        """Say what failed."""
        del told
        self.say(self._dialect.out_of_memory)

    def ready(self) -> None:
        """Say that it serves."""
        self.say(self._dialect.ready, seconds=time.monotonic() - _STARTED_S)

    def died(self) -> None:
        """Say that it has failed."""
        self.say(self._dialect.died)

    def served(self, **about: Any) -> None:
        """Say what is said of a request that went well."""
        self.say(self._dialect.served, **about)

    def failed(self, **about: Any) -> None:
        """Say what is said of one that did not."""
        self.say(self._dialect.failed, **about)

    def say(self, lines: tuple[str, ...], **about: Any) -> None:
        """Write lines, with their fields filled."""
        fields = {"now": dt.datetime.now(dt.UTC), **self._about, **about}
        self._out.write("".join(line.format(**fields) + "\n" for line in lines))
        self._out.flush()


class TgiVoice:
    """Speaks as TGI's launcher and router do."""

    early = True

    def __init__(self, journal: Journal, *, model: str, load_s: float, batch_tokens: int) -> None:
        self._journal, self._model, self._load_s, self._batch_tokens = journal, model, load_s, batch_tokens

    def begin(self) -> None:
        """Find the weights at hand."""
        self._journal.launcher(f"Starting check and download process for {self._model}")
        self._journal.launcher("Files are already present on the host. Skipping download.")
        self._journal.launcher(f"Successfully downloaded weights for {self._model}")
        self._journal.launcher("Starting shard")

    def wait(self) -> None:
        """Wait for the shard."""
        self._journal.launcher("Waiting for shard to be ready...")

    def out_of_memory(self, *, told: bool) -> None:
        """Lose the shard."""
        if told:
            self._journal.plain("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
        self._journal.launcher("Shard 0 failed to start", level="ERROR")
        self._journal.launcher("Shutting down shards")
        self._journal.plain("Error: ShardCannotStart")

    def ready(self) -> None:
        """Start the router."""
        self._journal.launcher(f"Shard ready in {self._load_s:.9g}s")
        self._journal.launcher("Starting Webserver")
        self._journal.router("Warming up model", line=171)
        self._journal.router(f"Setting max batch total tokens to {self._batch_tokens}", line=205)
        self._journal.router("Connected", line=2302)

    def died(self) -> None:
        """Lose the shard while serving."""
        self._journal.launcher("Shard process was signaled to shutdown with signal 9 rank=0", level="ERROR")
        self._journal.launcher("Shard 0 crashed", level="ERROR")
        self._journal.plain("Error: ShardFailed")
