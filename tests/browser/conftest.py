# SPDX-License-Identifier: MIT
"""Made-up profiles (tests/unit/emit_profile.c) and a real browser to look at them.

* `emit(case, format, name, *flags)`: the path of the file; made once per session.
* `browse(url_or_path, steps, **settings)`: runs driver.mjs; its results, one a step. Errors of the page fail the test
  unless `problems=None`.
* `node_script(name, *args)`: what a script of this folder prints, as JSON.
"""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def emit(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")

    def emit_one(case, output_format, name, *flags):
        path = folder / name
        if not path.exists():
            subprocess.run([build / "tests/unit/emit_profile", case, output_format, path, *flags], check=True, timeout=300)
        return path

    return emit_one


@pytest.fixture(scope="session")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium: install chromium")
    return found


@pytest.fixture(scope="session")
def node(build):
    found = shutil.which("node")
    if not found:
        pytest.skip("no Node.js: install nodejs")
    if not (build / "node/node_modules/playwright-core").is_dir():
        pytest.skip(f"no npm packages: run tests/browser/install.sh {build}/node")
    return found


@pytest.fixture(scope="session")
def node_script(node, build):
    def run(name, *args, standard_input="", environment=()):
        result = subprocess.run([node, HERE / name, *map(str, args)], input=standard_input, text=True, timeout=600,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, "BUILD": str(build), **dict(environment)})
        assert result.returncode == 0, f"{name} failed:\n{result.stderr[-3000:]}"
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="session")
def browse(node_script, chromium):
    def browse_one(url, steps, problems=(), **settings):
        url = url.as_uri() if isinstance(url, pathlib.Path) else url
        order = json.dumps({"url": url, "steps": steps, **settings})
        seen = node_script("driver.mjs", standard_input=order, environment={"CHROMIUM": chromium})
        assert not seen["failure"], f"{seen['failure']}\nresults so far: {seen['results']}\n{seen['problems']}"
        assert problems is None or seen["problems"] == list(problems)
        foreign = [address for address in seen["requests"] if not address.startswith(("file:", "data:", "blob:"))]
        assert not foreign, "the page asked the network"
        return seen["results"]

    return browse_one
