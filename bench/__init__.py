"""The bench: the floor and the axis side by side on one real broker; `python -m bench --help`."""
