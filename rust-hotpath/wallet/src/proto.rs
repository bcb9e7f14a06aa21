//! Generated messages of `wallet.v1`, the public contract of the service.
#![allow(
    missing_docs,
    rustdoc::all,
    clippy::all,
    clippy::pedantic,
    unreachable_pub
)]

include!(concat!(env!("OUT_DIR"), "/wallet.v1.rs"));

/// The encoded `FileDescriptorSet` of `wallet.v1`.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/wallet.v1.descriptors.bin"));
