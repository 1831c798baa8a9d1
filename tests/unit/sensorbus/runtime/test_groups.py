"""Which members may join a group behind the gateway."""

from types import SimpleNamespace

import pytest
from kio.schema.errors import ErrorCode

from sensorbus.runtime.groups import MOST_GROUPS, Groups


def join(group_id: str, *assignors: str) -> SimpleNamespace:
    """Return what the groups look at of a JoinGroup request."""
    return SimpleNamespace(group_id=group_id, protocols=[SimpleNamespace(name=name) for name in assignors])


def test_a_group_shares_out_as_its_first_member() -> None:
    """The first way that a member names counts, as for the mock cluster."""
    groups = Groups()
    assert groups.refusal(join("group", "roundrobin", "range")) is None
    assert groups.refusal(join("group", "roundrobin")) is None
    assert groups.refusal(join("group", "range", "roundrobin")) is ErrorCode.inconsistent_group_protocol


def test_our_jobs_came_first() -> None:
    """They join at the broker's own port, which no gateway sees."""
    groups = Groups(["sensorbus.alert"])
    assert groups.refusal(join("sensorbus.alert", "roundrobin")) is ErrorCode.inconsistent_group_protocol
    assert groups.refusal(join("sensorbus.alert", "range")) is None


@pytest.mark.parametrize(("group", "assignors"), [("group", ()), ("group", ("ran\0ge",)), ("gro\0up", ("range",))])
def test_what_the_mock_cluster_cannot_compare_is_refused(group: str, assignors: tuple[str, ...]) -> None:
    """No way at all, or names that end for it where a NUL is."""
    assert Groups().refusal(join(group, *assignors)) is ErrorCode.inconsistent_group_protocol


def test_so_many_groups_are_remembered() -> None:
    """One more is refused; those that are known go on."""
    groups = Groups(["sensorbus.alert"])
    assert {groups.refusal(join(f"group {number}", "range")) for number in range(MOST_GROUPS)} == {None}
    assert groups.refusal(join("another", "range")) is ErrorCode.group_max_size_reached
    assert groups.refusal(join("group 0", "range")) is None


def test_a_member_has_a_name_of_this_gateway() -> None:
    """Not one that another run gave, nor what the mock cluster calls our jobs' members."""
    groups = Groups()
    name = groups.new_member()
    assert groups.is_ours(name)
    assert name != groups.new_member()
    assert not any(groups.is_ours(other) for other in ("", "0x7f0000001234", name + "\0", Groups().new_member()))


def test_the_broker_is_asked_once_at_a_time_for_a_member() -> None:
    """Others, and the same one in another group, are asked for meanwhile."""
    groups = Groups()
    assert groups.enter("group", "member")
    assert not groups.enter("group", "member")
    assert groups.enter("group", "other")
    assert groups.enter("other", "member")
    groups.leave("group", "member")
    assert groups.enter("group", "member")
