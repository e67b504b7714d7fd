"""Stands in for ZeroGPU: each call runs in a forked process, arguments and answers are copied."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

calls: list[str] = []
"""What was called so far, in this process."""

PATIENCE = 120
"""Seconds after which a call is taken to hang."""


def GPU(*, duration: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: N802
    """Decorate as `spaces.GPU` does; of an error only its kind comes back, as there."""

    def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
        def lent(*values: Any, **options: Any) -> Any:
            context = multiprocessing.get_context("fork")
            receiver, sender = context.Pipe(duplex=False)
            sent = bytes(ForkingPickler.dumps((values, options)))
            process = context.Process(target=_work, args=(task, sent, sender), daemon=True)
            calls.append(str(values[:1]))
            process.start()
            if not receiver.poll(min(duration * 4, PATIENCE)):
                process.kill()
                raise TimeoutError("the forked process does not answer")
            kind, answer = receiver.recv()
            process.join(PATIENCE)
            process.kill()  # what has answered and goes on is of no use
            if kind == "error":
                raise RuntimeError(f"GPU task failed: {answer}")
            return answer

        return lent

    return decorate


def _work(task: Callable[..., Any], sent: bytes, sender: Any) -> None:
    values, options = ForkingPickler.loads(sent)
    try:
        sender.send(("answer", task(*values, **options)))
    except Exception as error:
        sender.send(("error", type(error).__name__))
