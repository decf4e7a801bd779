"""Chromium, spoken to over its pipe: true phone widths, dark paper, print, keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from test_browser import chromium


class Page:
    """One tab of a headless Chromium of its own."""

    def __init__(self, profile: Path) -> None:
        theirs, ours = os.pipe(), os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        ends = f"os.dup2({theirs[0]}, 3); os.dup2({ours[1]}, 4)"
        start = f"import os, sys; {ends}; os.execv(sys.argv[1], sys.argv[1:])"
        browser = [chromium(), *options, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", start, *browser],
            pass_fds=(theirs[0], ours[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs[0])
        os.close(ours[1])
        self._out, self._in = os.fdopen(theirs[1], "wb"), os.fdopen(ours[0], "rb")
        self._number, self._session = 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while (answer := self._read()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        text = b""
        while (byte := self._in.read(1)) != b"\0":
            assert byte, "Chromium ended"
            text += byte
        return json.loads(text)

    def run(self, script: str) -> Any:
        """What a script (or its promise) gives."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, page: Path, *, width: int = 1366, scheme: str = "light", media: str = "screen") -> None:
        """Open a report or a gene page, and wait until its pictures are drawn."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.call("Page.navigate", url=page.as_uri())
        self.run(DRAWN)

    def press(self, key: str) -> None:
        """A key, down and up."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Enter": 13, " ": 32, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=code)

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(30)
        self._out.close()
        self._in.close()


DRAWN = """new Promise((done) => {
  const wait = () => {
    const charts = document.querySelectorAll(".chart").length;
    const ready = document.readyState === "complete" && charts;
    if (ready && document.querySelectorAll("details.behind").length === charts) done(true);
    else setTimeout(wait, 50);
  };
  wait();
})"""
