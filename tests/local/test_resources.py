"""What a resource has to bring with it: nothing else knows of it but the list that it is added to."""

from typing import ClassVar

import attrs
import pytest
from starlette.responses import Response

from superserve.local import LocalServer, StateError
from superserve.local._app import backend, server
from superserve.local._app.answers import json_answer
from superserve.local._app.patterns import Operations
from superserve.local._app.router import find_operations, operation
from superserve.local._app.services import Resource
from superserve.local._resources import RESOURCES
from superserve.local._store.rows import Row, column


@attrs.frozen
class NoteRow(Row):
    TABLE: ClassVar[str] = "notes"

    id: str
    team_id: str = attrs.field(metadata=column(references="teams"))
    title: str
    is_read: bool = False


class NoteResource(Resource):
    ROWS = (NoteRow,)

    @operation("createNote", "POST /notes/{title}")
    async def create(self, request):
        row = NoteRow(self.services.new_id(), request.team.id, request.path["title"])
        self.services.store.table(NoteRow).save(row)
        return json_answer(201, b'"' + row.id.encode() + b'"')

    @operation("listNotes", "GET /notes")
    async def list(self, request):
        rows = [row for row in self.services.store.table(NoteRow) if row.team_id == request.team.id]
        return Response(" ".join(f"{row.title} {row.is_read}" for row in rows))

    @operation("readNote", "PUT /notes/{note_id}")
    async def read(self, request):
        table = self.services.store.table(NoteRow)
        table.save(attrs.evolve(table[request.path["note_id"]], is_read=True))
        return Response(status_code=204)


@pytest.fixture
def _notes(monkeypatch):
    kinds = (*RESOURCES, NoteResource)
    monkeypatch.setattr(backend, "RESOURCES", kinds)
    operations = Operations(operation for kind in kinds for _, operation in find_operations(kind))
    monkeypatch.setattr(server, "OPERATIONS", operations)


@pytest.mark.usefixtures("_notes")
def test_a_resource_has_its_operations_faults_records_and_a_reset(open_client, error):
    with LocalServer(limits=False) as server:
        http = open_client(server)
        server.faults.on("createNote").answer(503)

        statuses = [http.post("/notes/one").status_code for _ in range(2)]
        note_id = http.post("/notes/two").json()
        assert statuses == [503, 201]
        assert http.put(f"/notes/{note_id.upper()}").status_code == 204
        assert error(http.put("/notes/two")) == (400, "bad_request")
        assert http.get("/notes").text == "one False two True"
        assert http.get("/notes/").headers["location"] == "/notes"
        assert http.get("/notes", headers={"X-API-Key": server.add_team().api_key}).text == ""
        assert http.get("/notes", headers={"X-API-Key": ""}).status_code == 401
        assert server.requests.count("createNote") == 3

        server.reset()
        assert http.get("/notes").text == ""


@pytest.mark.usefixtures("_notes")
def test_the_rows_of_a_resource_are_kept_in_order(open_client, tmp_path):
    file = tmp_path / "state.db"
    with LocalServer(state=file) as server:
        http = open_client(server)
        first = http.post("/notes/one").json()
        http.post("/notes/two")
        http.put(f"/notes/{first}")

    with LocalServer(state=file) as server:
        assert open_client(server).get("/notes").text == "one True two False"
        server.reset()
    with LocalServer(state=file) as server:
        assert open_client(server).get("/notes").text == ""


def test_a_file_with_other_tables_is_of_another_version(monkeypatch, tmp_path):
    file = tmp_path / "state.db"
    with LocalServer(state=file):
        pass
    monkeypatch.setattr(backend, "RESOURCES", (*RESOURCES, NoteResource))

    with pytest.raises(StateError, match="written by another version of superserve"):
        LocalServer(state=file).start()
