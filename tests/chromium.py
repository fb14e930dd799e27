"""A headless Chromium for tests of pages, spoken to in the DevTools protocol through two pipes: no driver, no network."""

import json
import os
import shutil
import signal
import tempfile
import time
from types import TracebackType
from typing import Any

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Chromium:
    """One browser with one tab; `errors` are what the console and the loading of files complained about since `open`."""

    def __init__(self, binary: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        switches = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
        )
        command = [binary, *switches, "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}", "about:blank"]
        silent = os.open(os.devnull, os.O_RDWR)
        moves = [(os.POSIX_SPAWN_DUP2, theirs_in, 103), (os.POSIX_SPAWN_DUP2, theirs_out, 104)]
        moves += [(os.POSIX_SPAWN_DUP2, 103, 3), (os.POSIX_SPAWN_DUP2, 104, 4)]  # the numbers that Chromium reads and writes
        moves += [(os.POSIX_SPAWN_DUP2, silent, 1), (os.POSIX_SPAWN_DUP2, silent, 2)]
        self._pid = os.posix_spawn(binary, command, os.environ, file_actions=moves, setpgroup=0)
        for end in (theirs_in, theirs_out, silent):
            os.close(end)
        self._buffer, self._count = b"", 0
        self.errors: list[str] = []
        target = next(t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command to the tab."""
        return self._call(method, session=self._session, **parameters)

    def _call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self._listen(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = os.read(self._in, 2**16)
            if not read:
                raise RuntimeError("Chromium has ended")
            self._buffer += read
        message, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(message))

    def _listen(self, event: dict[str, Any]) -> None:
        method, given = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(argument.get("value", argument.get("description"))) for argument in given["args"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif method == "Network.loadingFailed" and not given.get("canceled"):
            self.errors.append(f"not loaded: {given['errorText']}")

    def open(self, page: str, width: int, height: int = 900) -> None:
        """Load a page at a width in pixels, and wait until its scripts have run and its fonts are there."""
        self.errors.clear()
        self.resize(width, height)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=page)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")
        self.value("document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => done(true))))")

    def resize(self, width: int, height: int = 900) -> None:
        """Make the window so large."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def wait(self, condition: str, seconds: float = 30.0) -> None:
        """Until a JavaScript expression holds, on whichever page is then there."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.value(condition):
                    return
            except RuntimeError:  # of a page that has just been left
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {condition}")
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, once it is settled."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")
