"""Many templates: all are built within the team's quotas; those that are not needed any more are deleted."""

from datetime import timedelta

import pytest

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    BuildError,
    ConflictError,
    RateLimitError,
    SpecError,
    TemplateSpec,
    ValidationError,
)
from superserve.local import TeamLimits

QUICK = {"poll_interval_s": 0.01}


def specs(count, **fields):
    return [TemplateSpec(name=f"t{number}", from_="a", **fields) for number in range(count)]


@pytest.fixture
async def limited(server):
    """A client of a team that may have two builds at a time, and six templates."""
    team = server.add_team(limits=TeamLimits(builds=2, templates=6, requests_per_s=1e6, burst=10**6))
    async with AsyncSuperserve(api_key=team.api_key, base_url=server.base_url) as client:
        yield client


async def test_all_are_built_and_each_is_told_of_as_it_ends(client):
    told = []
    some = [*specs(3), TemplateSpec(name="broken", from_="a").run("exit 3")]
    summary = await AsyncTemplate.build_all(some, on_outcome=told.append, client=client, **QUICK)
    assert [outcome.name for outcome in summary.outcomes] == ["t0", "t1", "t2", "broken"]
    assert sorted(told, key=lambda outcome: outcome.name) == sorted(
        summary.outcomes, key=lambda outcome: outcome.name
    )
    assert [outcome.template.status for outcome in summary.outcomes[:3]] == ["ready"] * 3
    [failed] = summary.failed
    assert isinstance(failed.error, BuildError)
    assert failed.error.place.file == __file__
    assert str(summary).startswith("3 of 4 templates are ready\n  broken: BuildError: build ")


async def test_each_build_is_handed_over_as_it_begins(server, client):
    begun = []
    server.builds.hold()
    going_on = await AsyncTemplate.create(spec=specs(1)[0], client=client)

    def begin(build):
        begun.append((build.template.name, build.id))
        if len(begun) == 2:
            server.builds.release()

    await AsyncTemplate.build_all(specs(2), on_build=begin, client=client, **QUICK)
    assert begun[0] == ("t0", going_on.build().id)
    await AsyncTemplate.build_all(specs(2), on_build=begin, client=client, **QUICK)
    assert [name for name, _ in begun] == ["t0", "t1"]
    with pytest.raises(ValidationError, match="on_build"):
        await AsyncTemplate.build_all(specs(1), on_build="x", client=client)


async def test_what_is_ready_is_not_built_again(server, client):
    await AsyncTemplate.build_all(specs(2), client=client, **QUICK)
    server.requests.clear()
    summary = await client.templates.build_all(specs(2), **QUICK)
    assert summary.is_ready
    assert [outcome.action for outcome in summary.outcomes] == ["reuse", "reuse"]
    assert not [request for request in server.requests if request.method == "POST"]


async def test_the_teams_quota_is_learned_and_kept_to(server, limited):
    get_build = AsyncTemplate.get_build

    class Held(AsyncTemplate):
        async def get_build(self, build_id):
            # By now, all have been started that may.
            server.builds.release()
            return await get_build(self, build_id)

    server.builds.hold()
    summary = await Held.build_all(specs(6), client=limited, **QUICK)
    assert summary.is_ready
    refused = [request for request in server.requests.to("createTemplate") if request.status == 429]
    assert len(refused) == 1


async def test_without_waiting_for_a_slot_the_refusal_is_the_outcome(server, limited):
    def release(outcome):
        if outcome.error:
            server.builds.release()

    server.builds.hold()
    summary = await AsyncTemplate.build_all(
        specs(3), wait_for_slot=False, on_outcome=release, client=limited, **QUICK
    )
    assert [type(outcome.error) for outcome in summary.outcomes] == [type(None), type(None), RateLimitError]


async def test_slots_that_others_have_are_waited_for_within_a_bound(server, limited):
    server.builds.hold()
    for number in range(2):
        await AsyncTemplate.create(name=f"other{number}", from_="a", client=limited)
    summary = await AsyncTemplate.build_all(specs(1), slot_timeout_s=0.05, client=limited, **QUICK)
    assert [outcome.error.code for outcome in summary.failed] == ["too_many_builds"]
    server.builds.release()


@pytest.mark.parametrize("refusals", [3, 10**9])
async def test_a_service_that_is_busy_is_asked_again_within_a_bound(client, refusals):
    left = iter(range(refusals))
    create = AsyncTemplate.create

    class Busy(AsyncTemplate):
        pass

    async def create_late(**arguments):
        if next(left, None) is None:
            return await create(**arguments)
        error = RateLimitError("busy", code="rate_limited")
        raise error

    Busy.create = create_late
    summary = await Busy.build_all(
        specs(1), slot_timeout_s=0.1 if refusals > 3 else 60, client=client, **QUICK
    )
    assert [outcome.error.code for outcome in summary.failed] == ["rate_limited"] * (refusals > 3)


async def test_too_many_templates_are_no_matter_of_time(limited):
    summary = await AsyncTemplate.build_all(specs(7), client=limited, **QUICK)
    assert [outcome.error.code for outcome in summary.failed] == ["too_many_templates"]


async def test_no_more_are_begun_at_a_time_than_was_asked_for(server, client):
    running, seen, most = set(), set(), []
    get_build = AsyncTemplate.get_build

    class Counted(AsyncTemplate):
        async def get_build(self, build_id):
            if build_id not in seen:
                seen.add(build_id)
                running.add(build_id)
                most.append(len(running))
            # A build ends when as many run as may, or when it is the last.
            if len(running) == 2 or len(seen) == 4:
                server.builds.release(build_id)
            info = await get_build(self, build_id)
            if info.has_ended:
                running.discard(build_id)
            return info

    server.builds.hold()
    summary = await Counted.build_all(specs(4), concurrency=2, client=client, **QUICK)
    server.builds.release()
    assert summary.is_ready
    assert max(most) == 2


async def test_mistakes_of_all_specs_are_told_at_once_before_anything_is_sent(server, client):
    with pytest.raises(SpecError) as caught:
        await AsyncTemplate.build_all(
            [TemplateSpec(name="A", from_="a"), TemplateSpec(name="b", from_="alpine")], client=client
        )
    assert [problem.where for problem in caught.value.problems] == ["name", "from"]
    with pytest.raises(ValidationError, match="two specs have the name 't0'"):
        await AsyncTemplate.build_all([*specs(1), *specs(1)], client=client)
    with pytest.raises(ValidationError, match="specs: expected a list of TemplateSpecs, got TemplateSpec"):
        await AsyncTemplate.build_all(specs(1)[0], client=client)
    assert list(server.requests) == []


async def test_an_interruption_names_the_builds_that_go_on(server, client):
    server.builds.hold()

    class Impatient(AsyncTemplate):
        async def get_build(self, build_id):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        await Impatient.build_all(specs(2), client=client, **QUICK)
    assert [note.endswith(f"of template 't{number}' goes on.") for number, note in enumerate(caught.value.__notes__)] == [
        True, True,
    ]  # fmt: skip
    server.builds.release()


async def test_a_poll_that_fails_in_a_way_that_may_pass_is_made_again(server, client, no_backoff):
    failures = iter(range(3))
    build = AsyncTemplate.get_build

    class Shaky(AsyncTemplate):
        async def get_build(self, build_id):
            if next(failures, None) is not None:
                raise RateLimitError("busy")
            return await build(self, build_id)

    assert (await Shaky.build_all(specs(1), client=client, **QUICK)).is_ready


async def test_by_default_pruning_only_tells(client):
    await AsyncTemplate.build_all(specs(3), client=client, **QUICK)
    outcomes = await client.templates.prune(keep=1)
    assert [outcome.is_deleted for outcome in outcomes] == [False, False]
    assert len(await AsyncTemplate.list(client=client)) == 3


async def test_what_is_chosen_is_deleted_and_what_is_in_use_is_told(server, client):
    await AsyncTemplate.build_all(specs(2), client=client, **QUICK)
    server.templates.add("t-used", sandboxes=1)
    await AsyncTemplate.create(name="other", from_="a", client=client)
    outcomes = await AsyncTemplate.prune(name_prefix="t", dry_run=False, client=client)
    assert {outcome.template.name: outcome.is_deleted for outcome in outcomes} == {
        "t0": True,
        "t1": True,
        "t-used": False,
    }
    assert [type(outcome.error) for outcome in outcomes if outcome.error] == [ConflictError]
    assert {info.name for info in await AsyncTemplate.list(client=client)} == {"other", "t-used"}


async def test_only_what_is_old_enough_is_chosen(client):
    await AsyncTemplate.build_all(specs(1), client=client, **QUICK)
    assert await AsyncTemplate.prune(older_than=timedelta(days=1), client=client) == []
    assert len(await AsyncTemplate.prune(older_than=timedelta(seconds=-60), client=client)) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "without one it would delete all"),
        ({"keep": -1}, "expected the number of newest"),
        ({"keep": True}, "expected the number of newest"),
        ({"older_than": 5}, "expected a timedelta, got int"),
        ({"older_than": timedelta.max}, "before the year 1"),
        ({"name_prefix": 5}, "name_prefix: expected a string"),
        ({"name_prefix": False, "keep": 1}, "name_prefix: expected a string"),
        ({"name_prefix": ""}, "without one it would delete all"),
    ],
)
async def test_a_choice_that_is_none_is_refused(client, arguments, told):
    with pytest.raises(ValidationError, match=told):
        await AsyncTemplate.prune(**arguments, client=client)
