"""Sends what `mutations` and schemathesis make to REST, and counts what comes back."""

import gc
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from dermsim.serve import Desk, Limits, build_rest
from fuzz.mutations import hostile_pictures

WARM_UP = 0.3
"""Share of a run after which memory is no longer expected to grow."""


@dataclass
class Tally:
    """What came of a run.

    Attributes:
        statuses: How often each was answered.
        faults: What no client should ever get, each with what caused it.
        memory: Resident megabytes at the start, after the warm-up and at the end.
    """

    statuses: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def note_memory(self) -> None:
        """Add what the process holds now."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory.append(pages * 4096 / 1e6)

    @property
    def growth(self) -> float:
        """Share by which memory grew after the warm-up."""
        return self.memory[-1] / self.memory[1] - 1


def application(engine, *, limits=None) -> Starlette:
    """Return REST at the address it has beside the page."""
    desk = Desk(lambda: engine, limits=limits or Limits())
    return Starlette(routes=[Mount("/api", build_rest(desk))])


def send_pictures(engine, count: int, *, seed: int = 0) -> Tally:
    """Classify hostile pictures."""
    tally = Tally()
    tally.note_memory()
    with TestClient(application(engine)) as client:
        for number, (name, data) in enumerate(hostile_pictures(count, seed=seed)):
            if number == int(count * WARM_UP):
                tally.note_memory()
            answer = client.post("/api/v1/predict", files={"images": (name, data)})
            tally.statuses[answer.status_code] += 1
            if answer.status_code not in (200, 422) or not _is_json(answer.text):
                tally.faults.append(f"{answer.status_code} for {name}: {answer.text[:200]}")
    tally.note_memory()
    return tally


def _is_json(text: str) -> bool:
    json.loads(text, parse_constant=lambda word: 1 / 0)  # NaN is no JSON
    return True


CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
"""What schemathesis compares with the document."""


def send_requests(engine, count: int, *, seed: int = 0) -> Tally:
    """Send `count` requests that the OpenAPI document forbids, and a fifth as many it allows."""
    import hypothesis
    import schemathesis
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode

    load_all_checks()
    checks = CHECKS.get_by_names(list(CHECKED))
    tally = Tally()
    tally.note_memory()
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", application(engine))
    operations = [result.ok() for result in schema.get_all_operations()]
    # what takes no parameters can hardly be asked wrongly
    asking = [operation for operation in operations if operation.method == "post"]

    def ask(case) -> None:
        answer = case.call()
        tally.statuses[answer.status_code] += 1
        if len(tally.memory) == 1 and tally.statuses.total() >= count * WARM_UP:
            tally.note_memory()
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as failures:
            told = "; ".join(str(failure) for failure in failures.exceptions)
            tally.faults.append(f"{case.operation.label}: {told}"[:800])

    def send(operation, mode, number: int) -> None:
        quiet = hypothesis.settings(
            max_examples=max(number, 1),
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        strategy = operation.as_strategy(generation_mode=mode)
        hypothesis.seed(seed)(quiet(hypothesis.given(strategy)(ask)))()

    for operation in asking:
        send(operation, GenerationMode.NEGATIVE, -(-count // len(asking)))
    for operation in operations:
        send(operation, GenerationMode.POSITIVE, count // 5 // len(operations))
    tally.note_memory()
    return tally
