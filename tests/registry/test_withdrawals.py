"""What a server still holds is freed once it was deleted, whoever deleted it."""

from __future__ import annotations

from adapters_registry.registry import Registry
from adapters_registry.withdrawals import Withdrawals, Withdrawn
from tests.registry.build import publish

NOTHING = Withdrawn(digests=[], tasks=[])


def look(withdrawals: Withdrawals, digest: str) -> Withdrawn:
    return withdrawals.look(lambda: [digest], lambda: [("acme", "mail"), ("globex", "mail")])


def test_a_deleted_task_is_withdrawn_with_its_digests(registry: Registry) -> None:
    version = publish(registry)
    withdrawals = Withdrawals(registry.state.database)
    assert look(withdrawals, version.digest) == NOTHING
    registry.delete_task("acme", "mail")
    assert look(withdrawals, version.digest) == Withdrawn(
        digests=[version.digest], tasks=[("acme", "mail")]
    )


def test_a_digest_that_another_tenant_has_too_is_kept(registry: Registry) -> None:
    version = publish(registry)
    assert publish(registry, tenant="globex").digest == version.digest
    registry.delete_task("acme", "mail")
    withdrawn = look(Withdrawals(registry.state.database), version.digest)
    assert withdrawn == Withdrawn(digests=[], tasks=[("acme", "mail")])


def test_what_is_deleted_while_it_is_listed_is_found_at_the_next_look(registry: Registry) -> None:
    version = publish(registry)
    withdrawals = Withdrawals(registry.state.database)

    def delete_and_list() -> list[str]:
        registry.delete_task("acme", "mail")
        return []

    withdrawals.look(delete_and_list, list)
    assert look(withdrawals, version.digest).digests == [version.digest]
