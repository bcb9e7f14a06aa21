//! Compiles the wallet's `.proto` files with protox, so that building needs no protoc.

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

/// `proto/wallet` is a link to the files that both languages share.
const PROTO_ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}/wallet");
    let descriptors = protox::compile(["wallet/v1/wallet_service.proto"], [PROTO_ROOT])?;
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("wallet.v1.descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
