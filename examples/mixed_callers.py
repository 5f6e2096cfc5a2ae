"""Calls every task of the server concurrently; rows that arrive together share a forward.

Train a few tasks, then run `python examples/mixed_callers.py`.
"""

from __future__ import annotations

import asyncio
import time

from adapterd import AsyncClient

TEXTS = ["what a day", "never again", "it was fine, I suppose", "the best film in years"]


async def main() -> None:
    async with AsyncClient() as client:
        tasks = [task.task async for task in client.tasks()]
        begin = time.perf_counter()
        predictions = await asyncio.gather(*(client.predict(task, TEXTS) for task in tasks))
        milliseconds = (time.perf_counter() - begin) * 1000
    for prediction in predictions:
        print(f"{prediction.task}@{prediction.version} {prediction.digest[:19]}")
        for text, output in zip(TEXTS, prediction.outputs, strict=True):
            print(f"   {text:<28} {output}")
    print(f"{len(tasks) * len(TEXTS)} answers in {milliseconds:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
