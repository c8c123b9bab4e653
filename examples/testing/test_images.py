"""Its tests: `pip install 'superserve-client[local]' pytest`, then `pytest`; no account, no network, a fraction of a second."""

import asyncio

import pytest
from images import NAME, ImageError, ensure_image

from superserve import AsyncTemplate, Template, TemplateInfo
from superserve.local import Faults
from superserve.pytest_plugin import SuperserveApi


@pytest.mark.usefixtures("superserve_api")
def test_the_image_is_built_when_there_is_none() -> None:
    info = ensure_image(["numpy"])
    assert info.status == "ready"
    assert [template.name for template in Template.list(name_prefix=NAME)] == [NAME]


def test_an_image_that_is_ready_is_not_built_again(superserve_api: SuperserveApi) -> None:
    first = ensure_image(["numpy"])
    assert ensure_image(["numpy"]) == first
    assert superserve_api.server.requests.count("POST", "/templates") == 1


@pytest.mark.usefixtures("superserve_api")
def test_a_step_that_fails_is_named() -> None:
    with pytest.raises(ImageError, match="step 2 of 2 failed"):
        ensure_image(["numpy", "; exit 3"])


def test_a_server_that_is_busy_for_a_moment_is_no_reason_to_give_up(superserve_faults: Faults) -> None:
    superserve_faults.on("GET /templates", times=2).answer(503, headers={"Retry-After": "0"})
    assert ensure_image(["numpy"]).status == "ready"


def test_a_server_that_is_down_is_an_error_for_the_operator(superserve_faults: Faults) -> None:
    superserve_faults.on("GET /templates", share=1).answer(503, headers={"Retry-After": "0"})
    with pytest.raises(ImageError, match=r"no image for jobs: .*503"):
        ensure_image(["numpy"])


def test_a_build_that_its_host_loses_is_named_too(superserve_faults: Faults) -> None:
    superserve_faults.on_build().lose()
    with pytest.raises(ImageError, match="no record of this build"):
        ensure_image(["numpy"])


# asyncio.run needs no plugin; with pytest-asyncio or anyio, the test itself can be asynchronous.
def test_asynchronous_code_is_tested_the_same_way(superserve_api: SuperserveApi) -> None:
    async def build() -> TemplateInfo:
        template = await AsyncTemplate.create(name="another", from_="python:3.11")
        return await template.wait_until_ready()

    assert asyncio.run(build()).status == "ready"
    assert superserve_api.server.requests.count("createTemplate") == 1
