//! Answers of two targets to the same reads, at equal position.
