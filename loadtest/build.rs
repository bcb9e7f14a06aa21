//! Embeds the descriptors of the wallet's service. Scenarios are checked against them, and requests are encoded with
//! them.

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

const PROTO_ROOT: &str = "../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    let descriptors = protox::compile(["wallet/v1/wallet_service.proto"], [PROTO_ROOT])?;
    let out = env::var("OUT_DIR")?;
    fs::write(
        Path::new(&out).join("wallet.v1.descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    Ok(())
}
