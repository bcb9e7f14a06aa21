//! Generated types of `hotpath.v1`, which is private between shim and sidecar.

/// The control, feed and exchange services. They are spoken over the Unix socket only.
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
