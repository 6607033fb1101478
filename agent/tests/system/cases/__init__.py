"""The system tests. A module each for what belongs together; `run --list` shows them all."""
