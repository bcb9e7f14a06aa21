//! Generated types: `wallet.v1` is the public contract, `hotpath.v1` is private between shim and sidecar.

/// The existing service's public messages.
#[allow(
    missing_docs,
    rustdoc::all,
    clippy::all,
    clippy::pedantic,
    unreachable_pub
)]
pub mod wallet {
    tonic::include_proto!("wallet.v1");

    /// The encoded `FileDescriptorSet` of `wallet.v1`.
    pub const DESCRIPTORS: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/wallet.v1.descriptors.bin"));
}

/// Control and feed, spoken over the Unix socket only.
#[allow(
    missing_docs,
    rustdoc::all,
    clippy::all,
    clippy::pedantic,
    unreachable_pub
)]
pub mod hotpath {
    tonic::include_proto!("hotpath.v1");

    /// The encoded `FileDescriptorSet` of `hotpath.v1`.
    pub const DESCRIPTORS: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/hotpath.v1.descriptors.bin"));
}
