//! The command line: recorded as text, then resolved, so that every mistake is told at once.
