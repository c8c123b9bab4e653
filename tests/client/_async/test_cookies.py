"""Cookies, which a proxy may set: nothing of one answer goes into the next request."""

from tests.script import Script, template_row
from tests.wire import reply


async def test_a_cookie_is_not_sent_back(serve, scripted):
    script = Script(template=[reply(json=template_row(), headers={"Set-Cookie": "route=7; Path=/"})])
    headers = []

    def record(peer, request):
        headers.append(request.headers)
        script(peer, request)

    template = await scripted(record)
    await template.get_info()

    assert len(headers) == 2
    assert not any("cookie" in sent for sent in headers)
