"""Drives a headless Chromium by its own protocol over a pipe. Used as a module; promises that the browser ends with the program."""
import base64, json, os, shutil, subprocess, tempfile, time


class Browser:
    """One browser with one page. `rules` maps names to addresses as --host-resolver-rules does; `trusted` is the SHA-256 of a public key
    whose certificates it takes, Base64."""

    def __init__(self, rules, trusted, into=()):
        self.profile = tempfile.mkdtemp(prefix="browser.")
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        words = [*into, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", "--window-size=1280,900",
                 f"--user-data-dir={self.profile}", f"--host-resolver-rules={rules}", f"--ignore-certificate-errors-spki-list={trusted}", "about:blank"]
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self.process = subprocess.Popen(["/bin/bash", "-c", shell, "browser", *words], pass_fds=[to_browser, from_browser], stderr=subprocess.DEVNULL,
                                        env={**os.environ, "HOME": self.profile, "DBUS_SESSION_BUS_ADDRESS": "disabled:"})
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self):
        while b"\0" not in self.rest:
            more = os.read(self.read_end, 1 << 20)
            if not more:
                raise SystemExit("the browser ended")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.write_end, json.dumps(asked).encode() + b"\0")
        while (answer := self.message()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url):
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise SystemExit(f"{url}: {failed}")

    def value(self, expression):
        """Of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            return None
        return result["result"].get("value")

    def wait(self, expression, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := self.value(expression):
                return found
            time.sleep(0.2)
        raise SystemExit(f"not in {seconds} s: {expression}\n{self.text()[:3000]}")

    def text(self):
        """What is to be read on the page, shadow trees included."""
        return self.value("""(() => { const all = node => [...node.childNodes].map(child => child.nodeType === 3 ? child.data :
            /^(STYLE|SCRIPT|TEMPLATE)$/.test(child.nodeName) ? '' : (child.shadowRoot ? all(child.shadowRoot) : '') + all(child)).join(' ');
            return all(document.body).replace(/\\s+/g, ' '); })()""") or ""

    def says(self, text, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if text in self.text():
                return
            time.sleep(0.3)
        raise SystemExit(f"the page does not say {text!r} in {seconds} s, but: {self.text()[:3000]}")

    def type(self, text):
        self.call("Input.insertText", text=text)

    def enter(self):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r" if kind == "keyDown" else "")

    def screenshot(self, file):
        with open(file, "wb") as out:
            out.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
