"""What a visitor does in the pages and sees there, in words. Nothing here starts a browser or expects anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.process.gateway_process import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCREENSHOTS = ROOT / "var" / "screenshots"
ADMIN = "admin"
PASSWORD = "browser-tests-only"
_FIELDS = "Array.from(document.querySelectorAll('input, textarea, select'), field => field.value).join('\\n')"
_STICKING_OUT = """
() => Array.from(document.body.querySelectorAll("*")).filter(element => {
  const box = element.getBoundingClientRect()
  if (box.width === 0 || box.right <= innerWidth + 1) return false
  for (let parent = element.parentElement; parent; parent = parent.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(parent).overflowX)) return false
  return true
}).map(element => element.outerHTML.slice(0, 120))
"""

_SCROLLING_SIDEWAYS = """
() => Array.from(document.querySelectorAll("#content .scroll"))
  .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => `${box.ariaLabel}: ${box.scrollWidth}`)
"""


def sign_in(page: Page, *, password: str = PASSWORD) -> None:
    page.goto("/admin/login/?next=/admin/")
    page.get_by_label("Username").fill(ADMIN)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def make_key(page: Page, name: str) -> str:
    """The new key, as the page shows it."""
    page.goto("/admin/analytics/apikey/add/")
    page.get_by_label("Name:").fill(name)
    page.get_by_label("Project:").select_option("Default")
    save(page)
    return page.get_by_label(f"The key of {name}").input_value()


def everything_in(page: Page) -> str:
    """The page's HTML, and what stands in its fields: the HTML does not say that."""
    return page.content() + str(page.evaluate(_FIELDS))


def sticking_out(page: Page) -> list[str]:
    """The elements that reach beyond the right edge of the window and do not lie in a box that scrolls."""
    return list(page.evaluate(_STICKING_OUT))


def scrolling_sideways(page: Page) -> list[str]:
    """The tables that are wider than the box they lie in."""
    return list(page.evaluate(_SCROLLING_SIDEWAYS))


def barriers(page: Page) -> list[str]:
    """What axe-core finds in the page, with all of its rules."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def picture(page: Page, name: str) -> None:
    """A screenshot of the whole page under `var/screenshots/`, to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def lightness(page: Page, *, of: str) -> float:
    """Of a CSS colour property of the page's body, from 0 (black) to 1 (white)."""
    colour = str(page.evaluate("name => getComputedStyle(document.body)[name]", of))
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
