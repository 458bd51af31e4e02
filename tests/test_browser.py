# SPDX-License-Identifier: Apache-2.0
"""Reports in a real browser: all is drawn, nothing is fetched, nothing hostile runs, phones need no sideways scroll."""

import json
import shutil
from contextlib import contextmanager
from itertools import pairwise

import pytest
from convbwd_study.compare import write_comparison
from convbwd_study.report import write_report
from hostile import hostile_recipe
from showcase import showcase
from synthetic import Layer, Recipe, write

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed")

CHARTS = "return [...document.querySelectorAll('.chart')].filter((chart) => !chart.closest('[hidden]'))"


@contextmanager
def opened(page, width=1280, dark=False):
    """The page once all its visible charts are drawn, its console and its requests recorded."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        driver.get(page.as_uri())
        all_drawn = f"{CHARTS}.every((chart) => chart.dataset.state === 'drawn' || chart.dataset.state === 'failed')"
        WebDriverWait(driver, 60).until(lambda one: one.execute_script(all_drawn))
        yield driver
    finally:
        driver.quit()


def assert_healthy(driver, page):
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "DEBUG"] == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} <= {page.as_uri()}
    states = driver.execute_script(f"{CHARTS}.map((chart) => chart.dataset.state)")
    assert states
    assert set(states) == {"drawn"}


def marks(driver):
    """How many shapes each visible chart has."""
    shapes = ", ".join(f"svg .role-mark {shape}" for shape in ("path", "text", "line"))
    return driver.execute_script(f"{CHARTS}.map((chart) => chart.querySelectorAll('{shapes}').length)")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(write(tmp_path_factory.mktemp("browser") / "study", showcase())).path


@pytest.mark.parametrize("dark", [False, True])
def test_all_charts_are_drawn_and_nothing_is_fetched(page, dark):
    with opened(page, dark=dark) as driver:
        assert_healthy(driver, page)
        counts = marks(driver)
        assert len(counts) == 9
        assert min(counts) >= 10
        background = driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is not dark
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        assert driver.execute_script(
            "return [...document.querySelectorAll('.chart')].every((c) => c.getAttribute('aria-label'))"
        )
        headings = driver.execute_script("return [...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
        assert headings[0] == 1
        assert headings.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(headings))


def test_phones_scroll_in_one_direction_only(page):
    with opened(page, width=390) as driver:
        assert_healthy(driver, page)
        driver.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_tables_sort(page):
    with opened(page) as driver:
        column = (
            "const t = document.querySelector('table.sortable');"
            "const values = () => [...t.tBodies[0].rows].map((row) => +row.cells[1].dataset.sort);"
        )
        before = driver.execute_script(f"{column} return values()")
        up = driver.execute_script(f"{column} t.querySelectorAll('th button')[1].click(); return values()")
        down = driver.execute_script(f"{column} t.querySelectorAll('th button')[1].click(); return values()")
        assert up == sorted(before)
        assert down == sorted(before, reverse=True)


def test_conditions_are_picked(tmp_path):
    recipe = Recipe(threads=(1, 2), layers=[Layer("l")])
    page = write_report(write(tmp_path / "study", recipe)).path
    with opened(page) as driver:
        views = "[...document.querySelectorAll('.view')]"
        visible = f"return {views}.filter((view) => !view.hidden).map((view) => view.dataset.view)"
        assert driver.execute_script(visible) == ["synthetic-b8-t1-native-warm"]
        driver.execute_script(
            "const p = document.getElementById('view'); p.selectedIndex = 1; p.dispatchEvent(new Event('change'))"
        )
        assert driver.execute_script(visible) == ["synthetic-b8-t2-native-warm"]


def test_hostile_names_do_not_run(tmp_path):
    one = write(tmp_path / "one", hostile_recipe())
    two = write(tmp_path / "two", hostile_recipe(seed=2))
    report, comparison = write_report(one).path, write_comparison([one, two], tmp_path / "compare.html").path
    for page in (report, comparison):
        with opened(page, width=390) as driver:  # alert() would block the driver and fail here
            assert_healthy(driver, page)
            assert min(marks(driver)) >= 1
            assert driver.execute_script("return document.querySelectorAll('img').length") == 0
            assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
