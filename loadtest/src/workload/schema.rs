//! The methods of the wallet's service, from descriptors that the build embeds.

use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::sync::OnceLock;

/// What is known about a method's request.
#[derive(Debug)]
pub(crate) enum Input {
    /// The message of the request.
    Message(MessageDescriptor),
    /// Nothing, because it belongs to another service. Such methods can only be sent empty messages.
    Unknown,
}

/// Returns the request of a unary method, by its `/package.Service/Method`, or why there is none.
pub(crate) fn input(path: &str) -> Result<Input, String> {
    let split = path
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .filter(|(service, method)| is_name(service, true) && is_name(method, false));
    let Some((service, method)) = split else {
        return Err(format!(
            "must be package.Service/Method, such as wallet.v1.WalletService/GetBalance, not {path:?}"
        ));
    };
    let Some(service) = pool().services().find(|known| known.full_name() == service) else {
        return Ok(Input::Unknown);
    };
    let methods: Vec<_> = service.methods().collect();
    let Some(found) = methods.iter().find(|known| known.name() == method) else {
        let names: Vec<&str> = methods.iter().map(|known| known.name()).collect();
        let unknown = super::unknown("method", method, &names);
        return Err(format!("{}: {unknown}", service.full_name()));
    };
    if found.is_client_streaming() || found.is_server_streaming() {
        return Err("must be unary: streams can't be sent".to_owned());
    }
    Ok(Input::Message(found.input()))
}

/// Returns all embedded descriptors.
pub(crate) fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/wallet.v1.descriptors.bin"));
        DescriptorPool::decode(bytes.as_slice())
            .unwrap_or_else(|_| unreachable!("the build embeds what protox compiled"))
    })
}

fn is_name(text: &str, dots: bool) -> bool {
    let parts = |part: &str| {
        let starts = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if dots {
        text.split('.').all(parts)
    } else {
        parts(text)
    }
}
