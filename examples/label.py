"""Learns to tell verbs from nouns of the same spelling, draws what it looked at, and calls the mechanism alone."""

import torch

import regard

tagged = [("I saw a saw .", "PRON VERB DET NOUN PUNCT"), ("We fish for fish .", "PRON VERB ADP NOUN PUNCT")]
examples = [(words.split(), labels.split()) for words, labels in tagged]

tagger = regard.Labeler(dim=32, depth=1, heads=2)  # tiny; fit(..., output="runs/saw") would keep it
tagger.fit(examples * 8, epochs=20, batch_tokens=40, learning_rate=5e-3, average=0)
print(tagger.predict([["I", "saw", "a", "saw", "."]]))
tagger.attention(["I", "saw", "a", "saw", "."]).save("attention.html")  # a page; in a notebook it shows itself

query, key, value = torch.randn(3, 1, 4, 10_000, 32)  # [B, H, N, D] each
output = regard.attend(query, key, value, window=128)  # every position sees 128 to each side
weights = regard.attention_weights(query, key, window=128)  # a band [B, H, N, 257], never N × N
print(output.shape, weights.values.shape, regard.explain(query, key, value, window=128))
