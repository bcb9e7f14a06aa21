//! Where a target is.

use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Longest path of a Unix socket that the kernel takes.
const MAX_UNIX_PATH_BYTES: usize = 107;

/// An address that speaks gRPC: `host:port` (loopback or not) or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// What requests say as `:authority`.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// A name is resolved at once, to its first address.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |rule: String| Error::new(Kind::Usage, format!("address `{text}`: {rule}"));
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(wrong("the path after `unix:` is missing".to_owned())),
                1..=MAX_UNIX_PATH_BYTES => Ok(Self::Unix(Path::new(path).to_owned())),
                _ => Err(wrong(format!(
                    "the path of a Unix socket has at most {MAX_UNIX_PATH_BYTES} bytes"
                ))),
            };
        }
        if !text.contains(':') {
            let rule = "must be `host:port` or `unix:PATH`".to_owned();
            return Err(wrong(rule));
        }
        let mut found = (text.to_socket_addrs())
            .map_err(|error| wrong(format!("must be `host:port` or `unix:PATH` ({error})")))?;
        let first = found.next();
        (first.map(Self::Tcp)).ok_or_else(|| wrong("the name has no address".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_displayed() {
        for text in [
            "127.0.0.1:80",
            "[::1]:9000",
            "unix:/run/a.sock",
            "unix:a.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_name_the_rule() {
        let long = format!("unix:{}", "x".repeat(108));
        for (text, rule) in [
            ("", "`host:port`"),
            ("localhost", "`host:port`"),
            ("localhost:70000", "`host:port`"),
            ("unix:", "missing"),
            (&long, "107 bytes"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(rule), "{error}");
        }
    }
}
