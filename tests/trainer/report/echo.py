"""A child that says what it is asked to; told to, it sleeps first."""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    question = json.load(sys.stdin)
    time.sleep(question.get("sleep_s", 0))
    json.dump({"said": question["say"]}, sys.stdout)


if __name__ == "__main__":
    main()
