//! Generates the messages of `interop.proto`, and the descriptors that the engine compares with those of the Go
//! service.

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=interop.proto");
    let descriptors = protox::compile(["interop.proto"], ["."])?;
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("grpc.testing.descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
