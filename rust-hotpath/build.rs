//! Compiles `proto/` with protox, so that building needs no protoc.

use prost::Message as _;
use std::{env, error::Error, fs, path::PathBuf};

const PROTO_ROOT: &str = "../proto";
const WALLET: &[&str] = &["wallet/v1/wallet_service.proto"];
const HOTPATH: &[&str] = &["hotpath/v1/control.proto", "hotpath/v1/feed.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    // Clients are for tests and tools; the hot methods are served as raw bytes, so wallet.v1 needs no server.
    let wallet = protox::compile(WALLET, [PROTO_ROOT])?;
    fs::write(
        out.join("wallet.v1.descriptors.bin"),
        wallet.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(wallet)?;

    let hotpath = protox::compile(HOTPATH, [PROTO_ROOT])?;
    tonic_prost_build::configure().compile_fds(hotpath)?;
    Ok(())
}
