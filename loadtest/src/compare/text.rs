//! Shows messages as text.

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use std::{fmt::Write as _, sync::OnceLock};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wallet.v1.descriptors.bin"));
/// The bytes of a message that are shown as hex. The `.bin` file beside the text has all of them.
const SHOWN_BYTES: usize = 4096;

/// The message of a method that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Reply,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let mut text = String::with_capacity(shown.len() * 2);
    for byte in shown {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if shown.len() < bytes.len() {
        let _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

/// Returns the message in protobuf's text format, if the method is known.
pub(super) fn decoded(path: &str, side: Side, bytes: &[u8]) -> String {
    let Some(descriptor) = descriptor(path, side) else {
        return "(the method is not known here)".to_owned();
    };
    match DynamicMessage::decode(descriptor, bytes) {
        Ok(message) => format!("{message:#}"),
        Err(error) => format!("(cannot be decoded: {error})"),
    }
}

fn descriptor(path: &str, side: Side) -> Option<MessageDescriptor> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let pool = POOL
        .get_or_init(|| DescriptorPool::decode(DESCRIPTORS).ok())
        .as_ref()?;
    let (service, method) = path.trim_start_matches('/').split_once('/')?;
    let service = pool.get_service_by_name(service)?;
    let method = service.methods().find(|each| each.name() == method)?;
    Some(match side {
        Side::Request => method.input(),
        Side::Reply => method.output(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_messages_are_decoded_and_others_are_not() {
        let path = "/wallet.v1.WalletService/GetBalance";
        let text = decoded(path, Side::Request, b"\x0a\x01a");
        assert!(text.contains("account_id: \"a\""), "{text}");
        assert!(decoded(path, Side::Request, b"\xff").starts_with("(cannot"));
        assert!(decoded("/other/Method", Side::Reply, b"").starts_with("(the method"));
    }

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(hex(b"\x00\xff"), "00ff");
        assert!(hex(&[0; 5000]).ends_with("... (5000 bytes)"));
    }
}
