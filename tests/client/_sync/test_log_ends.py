# Written by scripts/unasync.py from tests/client/_async/test_log_ends.py. Do not edit: change that, then run `nox -s generate`.
"""Where the reading of a log ends, although the log goes on or is too long to be read whole."""

import pytest

from superserve import ConflictError, Template


def test_a_wait_ends_with_the_cancelled_build_although_its_host_goes_on(client):
    template = Template.create(
        name="endless", from_="debian:12", steps=[{"run": "echo begun"}, {"run": "sleep 500"}], client=client
    )
    events = []

    def cancel_once_begun(event):
        events.append(event)
        if event.text == "begun":
            template.cancel_build(template.latest_build_id)

    with pytest.raises(ConflictError, match="was cancelled"):
        template.wait_until_ready(on_log=cancel_once_begun, poll_interval_s=0.05)
    assert [event.text for event in events if event.stream == "stdout"] == ["begun"]
    assert events[-1].gap
    assert "what its host may go on writing" in events[-1].text
