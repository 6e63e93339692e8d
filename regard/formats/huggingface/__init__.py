"""BERT as Hugging Face keeps it: a folder with config, weights and tokenizer."""
