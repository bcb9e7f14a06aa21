//! Writes the wallet's descriptors as an older or newer release may have them: with a field that the service does not know.

use prost::Message as _;
use prost_types::{
    FieldDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use std::{env, error::Error, fs, path::Path};

const PROTO_ROOT: &str = "../../wallet/proto";
const CHANGED: &str = "GetStatisticsResponse";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}/wallet");
    let mut descriptors = protox::compile(["wallet/v1/wallet_service.proto"], [PROTO_ROOT])?;
    let mut messages = descriptors
        .file
        .iter_mut()
        .flat_map(|file| &mut file.message_type);
    let changed = messages.find(|message| message.name() == CHANGED);
    changed
        .ok_or(format!("no message {CHANGED}"))?
        .field
        .push(FieldDescriptorProto {
            name: Some("unheard_of".to_owned()),
            number: Some(1000),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::Int64.into()),
            json_name: Some("unheardOf".to_owned()),
            ..FieldDescriptorProto::default()
        });
    let path = Path::new(&env::var("OUT_DIR")?).join("changed.descriptors.bin");
    fs::write(path, descriptors.encode_to_vec())?;
    Ok(())
}
