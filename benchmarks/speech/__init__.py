"""Recordings: voices told apart, frames labelled, and what length costs.

python -m benchmarks speech.voices speech.frames speech.windows speech.length speech.hour --json FILE
"""
