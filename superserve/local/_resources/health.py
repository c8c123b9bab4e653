"""The health of the server."""

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, json_answer
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource

_HEALTH = go_json.write({"status": "ok", "version": "0.1.0"})


class HealthResource(Resource):
    """The operations of the tag System."""

    @operation("health", "GET /health", needs_key=False)
    async def check(self, _request: ApiRequest) -> Answer:
        """Say that the server is running."""
        return json_answer(200, _HEALTH)
