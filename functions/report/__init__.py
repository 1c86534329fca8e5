"""The report function: takes what workers say of themselves and what they have finished."""
