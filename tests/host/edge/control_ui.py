"""The Control UI of OpenClaw in a browser: signs in by a link, talks to the agent, and keeps a picture. Arguments: network namespace of the browser (a
file), address of the edge, SHA-256 of its public key (Base64), links of an operator and of a viewer, file for the picture."""
import sys
from browser import Browser

namespace, address, trusted, operator, viewer, picture = sys.argv[1:]
FIND = """(() => { const find = node => { for (const one of node.querySelectorAll('*')) {
    if (one.matches('textarea[aria-label="Chat composer"]')) return one;
    const inner = one.shadowRoot && find(one.shadowRoot); if (inner) return inner; } }; return find(document); })()"""


def signed_in(browser, link):
    browser.open(link)
    browser.wait("Boolean(document.querySelector('form button'))")
    browser.value("document.querySelector('form button').click()")
    browser.wait(f"Boolean({FIND}) && !{FIND}.disabled", 120)


def say(browser, text):
    browser.value(f"{FIND}.focus()")
    browser.type(text)
    browser.enter()


def main():
    rules, into = f"MAP *.agents.test {address}", ("nsenter", f"--net={namespace}")
    with Browser(rules, trusted, into) as browser:
        signed_in(browser, operator)
        # No script of a page reads the session, and none was put into what pages keep.
        if "tenantd" in (browser.value("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})") or ""):
            sys.exit("the page reads the session")
        say(browser, "Keep word-heron in mind.")
        browser.says("I know word-heron.", 240)
        browser.screenshot(picture)
        if browser.value("location.search + location.hash").count("ticket"):
            sys.exit("the address still has the ticket")
    with Browser(rules, trusted, into) as browser:
        signed_in(browser, viewer)
        browser.says("I know word-heron.", 120)
        say(browser, "Keep word-raven in mind.")
        browser.says("Not sent", 60)
        browser.screenshot(picture.replace(".png", "-viewer.png"))
    print("seen")


main()
