"""Structure-aware fuzzing of what medrev reads."""
