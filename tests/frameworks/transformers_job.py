"""Train with Hugging Face's Trainer: a small BERT, not pretrained, learns to fill in masked numbers, then resumes."""

import sys

import torch
from transformers import BertConfig, BertForMaskedLM, Trainer, TrainingArguments, set_seed

WORDS, LENGTH, MASK = 60, 16, 1


def sentences(n):
    """Return sequences of numbers that count up from a random one, some of them masked."""
    begin = torch.randint(2, WORDS - LENGTH, (n, 1))
    tokens = begin + torch.arange(LENGTH)
    masked = torch.rand(n, LENGTH) < 0.2
    inputs, labels = tokens.masked_fill(masked, MASK), tokens.masked_fill(~masked, -100)
    return [{"input_ids": i, "labels": labelled} for i, labelled in zip(inputs, labels, strict=True)]


def train(log_dir, every=10):
    """every: logging_steps. The default is 500, but most scripts use about 10."""
    set_seed(0)
    data, held_out = sentences(2400), sentences(160)
    config = BertConfig(
        vocab_size=WORDS, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96
    )

    def trainer(epochs):
        arguments = TrainingArguments(
            output_dir=log_dir,
            report_to="tensorboard",
            num_train_epochs=epochs,
            per_device_train_batch_size=16,
            learning_rate=0.003,
            logging_steps=every,
            eval_strategy="epoch",
            save_strategy="epoch",
            use_cpu=True,
            disable_tqdm=True,
        )
        return Trainer(BertForMaskedLM(config), arguments, train_dataset=data, eval_dataset=held_out)

    trainer(2).train()
    trainer(3).train(resume_from_checkpoint=True)


if __name__ == "__main__":
    train(*sys.argv[1:])
