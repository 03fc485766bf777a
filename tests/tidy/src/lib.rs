//! The house tests its own tidiness: see `tests/`.
