from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A started sender on a fake chain with automatic mining off."""
    made = Rig(tmp_path / "state.db")
    await made.start()
    yield made
    made.stop()
