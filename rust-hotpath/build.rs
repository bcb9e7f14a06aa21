//! Compiles the `.proto` files with protox, so that building needs no protoc.

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

const PROTO_ROOT: &str = "../proto";
const EXAMPLES_ROOT: &str = "examples/counter";
const INTEROP_ROOT: &str = "examples/interop";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    println!("cargo::rerun-if-changed={EXAMPLES_ROOT}");
    println!("cargo::rerun-if-changed={INTEROP_ROOT}");
    // Clients are for tests and tools; hot methods are served as raw bytes, so their services need no server.
    compile(
        PROTO_ROOT,
        "wallet.v1",
        &["wallet/v1/wallet_service.proto"],
        false,
    )?;
    compile(PROTO_ROOT, "burn.v1", &["burn/v1/burn.proto"], false)?;
    compile(EXAMPLES_ROOT, "counter.v1", &["counter.proto"], false)?;
    compile(INTEROP_ROOT, "grpc.testing", &["interop.proto"], false)?;
    compile(
        PROTO_ROOT,
        "hotpath.v1",
        &[
            "hotpath/v1/control.proto",
            "hotpath/v1/exchange.proto",
            "hotpath/v1/feed.proto",
        ],
        true,
    )
}

/// Writes the Rust types and the encoded `FileDescriptorSet` of one package.
fn compile(root: &str, package: &str, files: &[&str], server: bool) -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(files, [root])?;
    let out = env::var("OUT_DIR")?;
    fs::write(
        Path::new(&out).join(format!("{package}.descriptors.bin")),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .build_server(server)
        .compile_fds(descriptors)?;
    Ok(())
}
