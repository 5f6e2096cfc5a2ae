"""What `benchmarks.defaults` compares with: PEFT's LoRA on all linears, full fine-tuning, TF-IDF.

Each takes the rows of a split and answers its test rows. Texts are cut at the base's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

from benchmarks.defaults_sets import LabelledSet, Row, Split
from benchmarks.training import BASE
from engine.model.source import base_path

EPOCHS, BATCH_ROWS, WARMUP, DECAY = 3, 32, 0.06, 0.01
SMALL_BATCH_ROWS = 8
LORA_RATE, FULL_RATE = 1e-3, 5e-5
#: as the tokenizer of the base has it
MAX_TOKENS = 512
_IGNORED = -100

Peer = Callable[[LabelledSet, Split, int], list[Any]]


def peft_all_linear(labelled: LabelledSet, split: Split, seed: int) -> list[Any]:
    """LoRA of rank 8 on every linear of every layer."""
    return _StockLoop(labelled, split, seed, full=False).run()


def peft_small_batches(labelled: LabelledSet, split: Split, seed: int) -> list[Any]:
    """The same in the stock trainer's default batch."""
    return _StockLoop(labelled, split, seed, full=False, batch_rows=SMALL_BATCH_ROWS).run()


def full_finetuning(labelled: LabelledSet, split: Split, seed: int) -> list[Any]:
    """All weights, at the stock trainer's default rate."""
    return _StockLoop(labelled, split, seed, full=True).run()


def full_small_batches(labelled: LabelledSet, split: Split, seed: int) -> list[Any]:
    """The same in the stock trainer's default batch."""
    return _StockLoop(labelled, split, seed, full=True, batch_rows=SMALL_BATCH_ROWS).run()


def tfidf(labelled: LabelledSet, split: Split, seed: int) -> list[Any]:
    """Words and pairs of words, with a linear model."""
    texts = [[_join_texts(row) for row in rows] for rows in (split.train, split.test)]
    linear = (
        Ridge()
        if labelled.head == "regress"
        else LogisticRegression(max_iter=1000, C=10, random_state=seed)
    )
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), linear)
    model.fit(texts[0], [row["label"] for row in split.train])
    return list(model.predict(texts[1]).tolist())


def _join_texts(row: Row) -> str:
    return f"{row['text']} {row.get('text_pair', '')}"


class _StockLoop:
    """A plain loop over a stock model: fixed epochs, linear decay, the last weights."""

    def __init__(
        self,
        labelled: LabelledSet,
        split: Split,
        seed: int,
        *,
        full: bool,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._head, self._split, self._batch_rows = labelled.head, split, batch_rows
        self._rate = FULL_RATE if full else LORA_RATE
        self._tags = labelled.head == "tag"
        torch.manual_seed(seed)
        self._labels = self._find_labels()
        values = (
            torch.tensor([float(r["label"]) for r in split.train])
            if self._is_regression
            else torch.zeros(2)
        )
        self._mean, self._std = float(values.mean()), float(values.std()) or 1.0
        path = str(base_path(BASE))
        self._tokenizer = AutoTokenizer.from_pretrained(path)
        kind = AutoModelForTokenClassification if self._tags else AutoModelForSequenceClassification
        model = kind.from_pretrained(path, num_labels=len(self._labels) or 1)
        self._model: Any = model if full else self._add_lora(model)

    @property
    def _is_regression(self) -> bool:
        return self._head == "regress"

    def run(self) -> list[Any]:
        rows = self._split.train
        steps = EPOCHS * -(-len(rows) // self._batch_rows)
        trained = [p for p in self._model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self._rate, weight_decay=DECAY)
        schedule = get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
        self._model.train()
        for _ in range(EPOCHS):
            for batch in self._batches():
                optimizer.zero_grad()
                with _half_products():
                    loss = self._loss([rows[i] for i in batch])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                schedule.step()
        return self._answer_all(self._split.test)

    def _batches(self) -> list[list[int]]:
        """Rows of about one length, in random order, as the stock trainer groups them."""
        lengths = [len(row.get("tokens") or _join_texts(row)) for row in self._split.train]
        size = self._batch_rows
        order = get_length_grouped_indices(lengths, size)
        return [order[at : at + size] for at in range(0, len(order), size)]

    def _find_labels(self) -> list[str]:
        if self._is_regression:
            return []
        rows = self._split.train
        return sorted(
            {t for r in rows for t in r["tags"]} if self._tags else {r["label"] for r in rows}
        )

    def _add_lora(self, model: Any) -> Any:
        task = "TOKEN_CLS" if self._tags else "SEQ_CLS"
        config = LoraConfig(
            r=8,
            lora_alpha=16,
            lora_dropout=0.1,
            target_modules="all-linear",
            exclude_modules=["classifier"],
            task_type=task,
        )
        return get_peft_model(model, config)

    def _batch(self, rows: Sequence[Row]) -> Any:
        if self._tags:
            texts: Any = ([row["tokens"] for row in rows],)
        elif "text_pair" in rows[0]:
            texts = [row["text"] for row in rows], [row["text_pair"] for row in rows]
        else:
            texts = ([row["text"] for row in rows],)
        return self._tokenizer(
            *texts, is_split_into_words=self._tags, padding=True, truncation=True,
            max_length=MAX_TOKENS, return_tensors="pt",
        )  # fmt: skip

    def _loss(self, rows: Sequence[Row]) -> torch.Tensor:
        batch = self._batch(rows)
        if self._is_regression:
            scaled = torch.tensor([(float(r["label"]) - self._mean) / self._std for r in rows])
            values = self._model(**batch).logits.squeeze(-1).float()
            return torch.nn.functional.mse_loss(values, scaled)
        if not self._tags:
            targets = torch.tensor([self._labels.index(row["label"]) for row in rows])
        else:
            targets = torch.full(batch["input_ids"].shape, _IGNORED)
            for number, row in enumerate(rows):
                for position, word in _first_pieces(batch.word_ids(number)):
                    targets[number, position] = self._labels.index(row["tags"][word])
        loss: torch.Tensor = self._model(**batch, labels=targets).loss
        return loss

    @torch.inference_mode()
    def _answer_all(self, rows: Sequence[Row]) -> list[Any]:
        self._model.eval()
        return [
            answer
            for start in range(0, len(rows), BATCH_ROWS)
            for answer in self._answer(rows[start : start + BATCH_ROWS])
        ]

    def _answer(self, rows: Sequence[Row]) -> list[Any]:
        batch = self._batch(rows)
        with _half_products():
            logits = self._model(**batch).logits.float()
        if self._is_regression:
            return (logits.squeeze(-1) * self._std + self._mean).tolist()
        best = logits.argmax(-1).tolist()
        if not self._tags:
            return [self._labels[index] for index in best]
        answers = [["O"] * len(row["tokens"]) for row in rows]
        for number, tags in enumerate(answers):
            for position, word in _first_pieces(batch.word_ids(number)):
                tags[word] = self._labels[best[number][position]]
        return answers


def _half_products() -> torch.autocast:
    """As `bf16=True` of the stock trainer has it, where the processor has such products."""
    enabled = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


def _first_pieces(word_ids: Sequence[int | None]) -> list[tuple[int, int]]:
    """Position and word, for the first piece of each word."""
    return [
        (position, word)
        for position, word in enumerate(word_ids)
        if word is not None and word != (word_ids[position - 1] if position else None)
    ]


PEERS: dict[str, Peer] = {
    "PEFT, all linears": peft_all_linear,
    "full fine-tuning": full_finetuning,
    "PEFT, batches of 8": peft_small_batches,
    "full fine-tuning, batches of 8": full_small_batches,
    "TF-IDF": tfidf,
}
