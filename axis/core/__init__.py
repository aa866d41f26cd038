"""The rules of the axis: pure values and functions, without IO, clock, randomness, logging or third parties."""
