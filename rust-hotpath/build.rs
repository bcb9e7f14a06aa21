//! Compiles the `.proto` files with protox, so that building needs no protoc.

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

/// The root of the private `.proto` files. In this repository `proto/hotpath` is a link to the files that both
/// languages share. A package has copies.
const PROTO_ROOT: &str = "proto";
/// The tutorial, which the engine's own tests serve. A package does not have it.
const TUTORIAL: &str = "examples/counter";

fn main() -> Result<(), Box<dyn Error>> {
    let private = [
        "hotpath/v1/control.proto",
        "hotpath/v1/exchange.proto",
        "hotpath/v1/feed.proto",
    ];
    compile(PROTO_ROOT, "hotpath.v1", &private, true)?;
    if Path::new(TUTORIAL).exists() {
        compile(TUTORIAL, "counter.v1", &["counter.proto"], false)?;
    }
    Ok(())
}

/// Writes the Rust types and the encoded `FileDescriptorSet` of one package. The clients are for tests and tools. Hot
/// methods are served as raw bytes, so their services need no generated server.
fn compile(root: &str, package: &str, files: &[&str], server: bool) -> Result<(), Box<dyn Error>> {
    for file in files {
        println!("cargo::rerun-if-changed={root}/{file}");
    }
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
