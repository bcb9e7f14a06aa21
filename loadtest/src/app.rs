//! Composes a run from a command line, and carries it out.
