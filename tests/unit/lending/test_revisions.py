"""Which revisions there are, and which of them were compared with a compiled contract."""

from __future__ import annotations

import pytest

from keeper.domain.errors import ConfigError
from keeper.lending.aave_v3.revisions import known_revisions, revision_for

UNVERIFIED = {4: "3.1", 5: "3.2", 6: "3.2"}


def test_what_was_never_compared_is_marked() -> None:
    found = {revision.number: revision.version for revision in known_revisions() if not revision.verified}
    assert found == UNVERIFIED


@pytest.mark.parametrize("number", [0, 12, 99, 999, 1004])
def test_an_unknown_revision_is_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"pool revision {number} is not known"):
        revision_for(number)
