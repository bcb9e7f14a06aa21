//! Drives windows of load through the targets, in the order that the plan decides.

#[cfg(test)]
pub(crate) mod sample;
