//! Starts the servers of a target, pinned to cores, and stops them.
