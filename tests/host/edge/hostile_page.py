"""A tenant's own page, in a browser that is signed in there and at another tenant. Arguments: network namespace of the browser (a file), address of the
edge, SHA-256 of its public key (Base64), links to the hostile tenant and to the other."""
import sys
from browser import Browser

namespace, address, trusted, hostile, other = sys.argv[1:]
with Browser(f"MAP *.agents.test {address}", trusted, ("nsenter", f"--net={namespace}")) as browser:
    for link in (other, hostile):
        browser.open(link)
        browser.wait("Boolean(document.querySelector('form button'))")
        browser.value("document.querySelector('form button').click()")
        browser.wait("!location.pathname.startsWith('/.tenantd')")
    mine, yours = (link.split("/.tenantd")[0] for link in (hostile, other))
    browser.open(f"{mine}/hostile")
    browser.wait("document.getElementById('seen') && document.getElementById('seen').textContent")
    if (seen := browser.value("document.getElementById('seen').textContent")) != "cookies: []":
        sys.exit(f"the page has {seen}")
    browser.open(f"{mine}/cookies")
    # What it set and took away changed nothing: still signed in, as who one was.
    role = browser.value("fetch('/.tenantd/whoami').then(answer => answer.json()).then(json => json.role)")
    if role != "owner":
        sys.exit(f"after the page one is {role}")
    asked = {
        "reads the other tenant with its cookie": f"fetch('{yours}/echo', {{credentials: 'include'}}).then(answer => answer.text())",
        "reads it without asking": f"fetch('{yours}/echo', {{credentials: 'include', mode: 'no-cors'}}).then(answer => answer.text()).then(text => text || null)",
        "opens a WebSocket there": f"new Promise(done => {{ const s = new WebSocket('{yours.replace('https', 'wss')}/echo'); s.onopen = () => done('open'); s.onerror = () => done(null); }})",
        "frames the sign-in page": f"new Promise(done => {{ const f = document.createElement('iframe'); f.src = '{mine}/.tenantd/logout'; f.onload = () => {{ try {{ done(f.contentDocument.querySelector('form') ? 'framed' : null); }} catch (e) {{ done(null); }} }}; f.onerror = () => done(null); document.body.append(f); setTimeout(() => done(null), 3000); }})",
        "posts a form there": f"fetch('{yours}/echo', {{credentials: 'include', mode: 'no-cors', method: 'POST', body: 'x=1'}}).then(answer => answer.text()).then(text => text || null)",
    }
    taken = [what for what, script in asked.items() if browser.value(f"({script}).catch(() => null)")]
    # The positive control: the same at its own origin.
    if not browser.value("fetch('/echo').then(answer => answer.text())"):
        sys.exit("the page cannot even ask its own gateway")
    if not browser.value(f"new Promise(done => {{ const s = new WebSocket('{mine.replace('https', 'wss')}/echo'); s.onopen = () => done('open'); s.onerror = () => done(null); }})"):
        sys.exit("the page cannot open a WebSocket to its own gateway")
    sys.exit(f"the page {' and '.join(taken)}" if taken else 0)
