//! Compiles `burn.proto` with protox, so that building needs no protoc.

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

const PROTO_ROOT: &str = "../../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}/burn");
    let descriptors = protox::compile(["burn/v1/burn.proto"], [PROTO_ROOT])?;
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("burn.v1.descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
