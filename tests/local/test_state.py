"""A server with a state file: what outlasts it, and what becomes of files that are no use."""

import signal
import sqlite3
import stat
import subprocess
import sys
import threading

import httpx
import pytest

from superserve.local import LocalServer, StateError, TeamLimits

LOST = "vmd has no record of this build (likely vmd restarted)"
EVERY_STEP = {
    "from": "ghcr.io/acme/base:1",
    "steps": [
        {"run": "echo 'a \\ b' && printf '\u2028\U0001f680é'"},
        {"run": ""},
        {"env": {"key": "EMPTY", "value": ""}},
        {"env": {"key": "A", "value": "1 < 2"}},
        {"workdir": "/app"},
        {"user": {"name": "app"}},
        {"user": {"name": "admin", "sudo": True}},
    ],
    "start_cmd": "python -m http.server",
    "ready_cmd": "true",
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def serve(file):
    """Make servers that keep their rows in one file."""

    def serve(**options):
        return LocalServer(**{"state": file, "speed": 100, "limits": False, **options})

    return serve


@pytest.fixture
def leaves_no_thread():
    threads = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == threads


def change(file, statement):
    """Change a file as another program might."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute(statement)
    database.close()


def create(client, name, spec):
    answer = client.post("/templates", json={"name": name, "build_spec": spec})
    assert answer.status_code == 202, answer.text
    return answer.json()


def rows(client):
    """Return all that a client sees."""
    templates = client.get("/templates").json()
    return templates, [client.get(f"/templates/{row['id']}/builds").json() for row in templates]


def test_templates_and_builds_are_there_again_just_as_they_were(serve, open_client):
    with serve() as server:
        client = open_client(server)
        good = create(client, "good", EVERY_STEP)
        bad = create(client, "bad", {"from": "nosuch/image"})
        server.builds.wait_for(good["build_id"], "ready")
        server.builds.wait_for(bad["build_id"], "failed")
        server.builds.add(good["id"], status="cancelled", error_message="cancelled by user")
        before = rows(client)

    for _ in range(2):
        with serve() as server:
            assert rows(open_client(server)) == before


def test_a_template_is_rebuilt_from_the_same_spec(serve, open_client):
    with serve() as server:
        client = open_client(server)
        created = create(client, "demo", EVERY_STEP)
        first = client.get(f"/templates/{created['id']}/builds/{created['build_id']}").json()

    with serve() as server:
        again = open_client(server).post(f"/templates/{created['id']}/builds")
        assert again.status_code == 201
        assert again.json()["build_spec_hash"] == first["build_spec_hash"]
        assert server.builds.wait_for(again.json()["id"], "ready", "failed") == "ready"


def test_the_key_stays_the_same(serve):
    server = serve()
    with pytest.raises(RuntimeError, match=r"key is in the state file: call start\(\)"):
        _ = server.api_key
    with server:
        key = server.api_key
    assert server.api_key == key

    for again in (server, serve()):
        with again:
            assert again.api_key == key


def test_a_chosen_key_takes_the_place_of_the_one_in_the_file(serve, open_client):
    with serve() as server:
        server.templates.add("demo")
        old = server.api_key

    with serve(api_key="chosen") as server:
        assert "demo" in statuses(open_client(server, "chosen"))
        assert open_client(server, old).get("/templates").status_code == 401
    with serve() as server:
        assert server.api_key == "chosen"


def statuses(client):
    return {row["name"]: row["status"] for row in client.get("/templates").json()}


def test_teams_and_keys_are_there_again(serve, open_client, error):
    with serve() as server:
        unlimited, limited = server.add_team(), server.add_team(limits=TeamLimits(templates=1, vcpu=4))
        second, revoked = server.add_key(unlimited.id), server.add_key()
        server.revoke_key(revoked)
        server.templates.add("theirs", team=unlimited)
        server.templates.add("only", team=limited)

    with serve() as server:
        assert "theirs" in statuses(open_client(server, unlimited.api_key))
        assert "theirs" in statuses(open_client(server, second))
        assert "theirs" not in statuses(open_client(server))
        assert open_client(server, revoked).get("/templates").status_code == 401
        body = {"name": "more", "vcpu": 4, "build_spec": {"from": "debian:12"}}
        refused = open_client(server, limited.api_key).post("/templates", json=body)
        assert error(refused) == (429, "too_many_templates")


def test_a_server_whose_own_key_was_revoked_takes_another(serve, open_client):
    with serve() as server:
        server.templates.add("demo")
        revoked = server.api_key
        server.revoke_key(revoked)

    with serve() as server:
        assert "demo" in statuses(open_client(server))
        assert open_client(server, revoked).get("/templates").status_code == 401


def test_deleted_templates_stay_deleted_and_used_ones_undeletable(serve, open_client):
    with serve() as server:
        gone, used = server.templates.add("demo"), server.templates.add("used", sandboxes=1)
        build = server.builds.add(gone)
        assert open_client(server).delete(f"/templates/{gone}").status_code == 204

    with serve() as server:
        client = open_client(server)
        assert client.get(f"/templates/{gone}").status_code == 404
        assert client.get(f"/templates/{gone}/builds/{build}").status_code == 200
        assert client.delete(f"/templates/{used}").status_code == 409
        create(client, "demo", {"from": "debian:12"})


@pytest.mark.parametrize("state", ["pending", "building"])
def test_builds_that_were_in_flight_were_lost_by_their_host(serve, open_client, log, state):
    with serve() as server:
        server.builds.hold(state)
        created = create(open_client(server), "demo", {"from": "debian:12"})
        server.builds.wait_for(created["build_id"], state)

    with serve() as server:
        client = open_client(server)
        template = f"/templates/{created['id']}"
        build = client.get(f"{template}/builds/{created['build_id']}").json()
        assert (build["status"], build["error_message"]) == ("failed", LOST)
        assert client.get(template).json()["error_message"] == LOST
        (event,) = log(created["id"], created["build_id"], client=client)
        assert (event["finished"], event["status"]) == (True, "failed")
        again = client.post(f"{template}/builds").json()["id"]
        server.builds.wait_for(again, "ready")
        assert client.get(template).json()["status"] == "ready"


def test_logs_are_gone(serve, open_client, log):
    with serve() as server:
        template = server.templates.add()
        build = server.builds.add(template, log=["hello"])

    with serve() as server:
        (event,) = log(template, build, client=open_client(server))
        assert "NotFound" in event["text"]


def test_limits_hold_for_a_run_and_not_for_the_file(serve, open_client):
    for limits in (True, False, True):
        with serve(limits=limits) as server:
            assert ("ratelimit-limit" in open_client(server).get("/templates").headers) == limits


def test_system_templates_keep_their_ids_and_can_be_left_out(serve, open_client):
    def ids(**options):
        with serve(**options) as server:
            return {row["name"]: row["id"] for row in open_client(server).get("/templates").json()}

    before = ids()
    assert "superserve/base" in before
    assert ids() == before
    assert ids(system_templates=False) == {}
    assert ids().keys() == before.keys()


def test_a_newer_server_leaves_nothing_that_is_unknown_to_this_one(serve, open_client):
    for newer, expected in ((True, {"ready", "archived"}), (False, {"ready"})):
        with serve(newer=newer) as server:
            assert set(statuses(open_client(server)).values()) == expected


def test_the_same_seed_makes_other_ids_in_the_next_run(serve):
    made = set()
    for _ in range(3):
        with serve(seed=1) as server:
            made.add(server.templates.add())

    assert len(made) == 3


def test_reset_empties_the_file_and_keeps_the_key(serve, open_client):
    with serve() as server:
        team = server.add_team()
        server.builds.add(server.templates.add("demo"))
        key = server.api_key
        server.reset()
        assert server.api_key == key

    with serve() as server:
        assert server.api_key == key
        assert {name.split("/")[0] for name in statuses(open_client(server))} == {"superserve"}
        assert open_client(server, team.api_key).get("/templates").status_code == 401


def test_a_file_serves_one_server_at_a_time(serve, file, leaves_no_thread):
    start = "import sys; from superserve.local import LocalServer; LocalServer(state=sys.argv[1]).start()"
    with serve() as server:
        # The refusal of another process shows that those before it didn't open the file to all.
        for _ in range(2):
            with pytest.raises(StateError, match=r"state\.db is in use by another server: stop it"):
                serve().start()
        other = subprocess.run(
            [sys.executable, "-c", start, file], capture_output=True, text=True, check=False, timeout=120
        )
        assert other.returncode == 1
        assert "is in use by another server" in other.stderr
        server.templates.add("demo")

    with serve():
        pass


def test_what_was_answered_is_kept_when_the_server_is_killed(serve, file, open_client):
    program = (
        "import os, signal, sys; from superserve.local import LocalServer\n"
        "server = LocalServer(state=sys.argv[1]).start()\n"
        "server.templates.add('demo')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, file], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL

    with serve() as server:
        assert "demo" in statuses(open_client(server))


def test_nobody_else_may_read_the_file(serve, file):
    def modes():
        return {stat.S_IMODE(found.stat().st_mode) for found in file.parent.glob("state.db*")}

    with serve() as server:
        server.templates.add()
        assert modes() == {0o600}
    file.chmod(0o644)
    with serve() as server:
        server.templates.add()
        assert modes() == {0o600}
    assert list(file.parent.iterdir()) == [file]


def test_an_empty_file_is_filled(serve, file, open_client):
    file.touch()

    with serve() as server:
        assert "superserve/base" in statuses(open_client(server))


def garbage(file):
    file.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 40)


def other_database(file):
    change(file, "CREATE TABLE notes (text)")


@pytest.mark.parametrize("make", [garbage, other_database])
def test_a_file_of_something_else_is_refused_and_left_alone(serve, file, make, leaves_no_thread):
    make(file)
    file.chmod(0o640)
    content = file.read_bytes()

    with pytest.raises(
        StateError, match=r"state\.db is not a state file of superserve\.local: choose another"
    ):
        serve().start()

    assert file.read_bytes() == content
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE templates SET created_at = 'yesterday'",
        "UPDATE templates SET spec = '{\"from\": 1}'",
        "UPDATE templates SET spec = x'00'",
        "UPDATE teams SET limits = '{\"colour\": 1}'",
        "UPDATE teams SET limits = '['",
        "UPDATE keys SET team_id = 'gone'",
        "DELETE FROM templates",
        "ALTER TABLE builds RENAME COLUMN status TO state",
        "DROP TABLE keys",
    ],
)
def test_rows_that_make_no_sense_are_refused(serve, file, statement, leaves_no_thread):
    with serve() as server:
        server.builds.add(server.templates.add())
    change(file, statement)

    with pytest.raises(StateError, match=r"state file .*state\.db is damaged \(.+\): remove it"):
        serve().start()


def test_a_file_that_lost_its_end_is_refused(serve, file, leaves_no_thread):
    with serve() as server:
        server.templates.add_many(100)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(StateError, match="is damaged"):
        serve().start()


def test_a_file_with_bytes_turned_over_is_refused(serve, file, leaves_no_thread):
    with serve() as server:
        server.templates.add_many(100)
    content = bytearray(file.read_bytes())
    content[4096:8192] = bytes(byte ^ 0xFF for byte in content[4096:8192])
    file.write_bytes(content)

    with pytest.raises(StateError, match="is damaged"):
        serve().start()


def test_a_file_of_another_version_is_refused(serve, file, leaves_no_thread):
    with serve():
        pass
    change(file, "PRAGMA user_version = 2")

    with pytest.raises(StateError, match=r"written by another version of superserve \(layout 2, not \d+\)"):
        serve().start()


def test_a_folder_and_a_folder_that_is_not_there_are_named(serve, tmp_path, leaves_no_thread):
    with pytest.raises(StateError, match="is not a file: choose another name"):
        serve(state=tmp_path).start()
    with pytest.raises(StateError, match=r"cannot make the state file .*gone/state\.db: No such file"):
        serve(state=tmp_path / "gone" / "state.db").start()


def test_a_server_that_could_not_have_its_file_starts_when_it_can(serve, file):
    other = serve()
    with serve(), pytest.raises(StateError):
        other.start()

    with other:
        assert httpx.get(other.base_url + "/health", verify=False).status_code == 200


async def stay_small(database):
    database.execute("PRAGMA max_page_count = 1")


def test_changes_that_the_file_cannot_take_are_not_made(serve, open_client, error, caplog):
    with serve() as server:
        client = open_client(server)
        # As when the disk is full.
        thread = server._running()
        thread.call(stay_small(thread.services.store.database._connection))
        body = {"name": "demo", "build_spec": {"from": "debian:12", "steps": [{"run": "x" * 50_000}]}}
        assert error(client.post("/templates", json=body)) == (500, "internal_error")
        assert "demo" not in statuses(client)
    assert "full" in caplog.text
