"""The scenarios, by what they call."""
