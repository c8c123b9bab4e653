"""A sandbox of the local server, talked to with plain HTTP and WebSockets."""

import json

import httpx
from websockets.sync.client import connect


class Box:
    """A sandbox, and a client for it."""

    def __init__(self, server, http, **fields):
        made = http.post("/sandboxes", json={"name": "box", **fields}).json()
        self.id, self.token = made["id"], made["access_token"]
        self.path = f"/sandboxes/{self.id}"
        self.url = server.base_url
        self.http = httpx.Client(
            base_url=server.base_url,
            headers={"X-Superserve-Sandbox-Id": self.id, "X-Access-Token": self.token},
            verify=False,
            timeout=60,
        )

    def run(self, command, **fields):
        response = self.http.post("/exec", json={"command": command, **fields})
        assert response.status_code == 200, response.text
        return response.json()

    def stream(self, command, **fields):
        response = self.http.post("/exec/stream", json={"command": command, **fields})
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.text.split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    def connect(self, *protocols):
        return connect(
            self.url.replace("http", "ws") + "/exec/connect",
            additional_headers={"X-Superserve-Sandbox-Id": self.id},
            subprotocols=protocols or ["superserve.exec.v1", f"token.{self.token}"],
            compression=None,
        )
