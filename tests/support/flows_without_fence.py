"""The flows for tests, with the fence taken out of the queue: shows that the chaos tests would notice."""

from core.queue import statements
from tests.support.flows import FLOWS

REPORTED = "where t.id = any(array[d.id])"
FENCE = f"{REPORTED} and t.picked_at = d.token and t.worker = $3"

for name in ("STEP", "STEP_OLDEST_FIRST"):
    statement = getattr(statements, name)
    if FENCE not in statement:
        raise AssertionError("the fence has moved: mend this module")
    setattr(statements, name, statement.replace(FENCE, REPORTED))

__all__ = ["FLOWS"]
