//! Addresses of targets.

use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Longest path of a Unix socket that the kernel accepts.
const MAX_UNIX_PATH_BYTES: usize = 107;

/// An address that speaks gRPC: `host:port` (loopback or not) or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address given as an IP address.
    Tcp(SocketAddr),
    /// A TCP address given by name. Its addresses are tried in the resolver's order.
    Named {
        /// `host:port`.
        name: String,
        /// All addresses of the name.
        all: Vec<SocketAddr>,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The `:authority` of requests.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Named { name, .. } => name.clone(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The TCP addresses to try, in this order; none for a Unix socket.
    pub(crate) fn tcp(&self) -> &[SocketAddr] {
        match self {
            Self::Tcp(address) => std::slice::from_ref(address),
            Self::Named { all, .. } => all,
            Self::Unix(_) => &[],
        }
    }

    fn named(text: &str, found: impl Iterator<Item = SocketAddr>) -> Option<Self> {
        let mut all: Vec<SocketAddr> = Vec::new();
        for address in found {
            // A resolver that reads several lines of a file may return an address several times.
            if !all.contains(&address) {
                all.push(address);
            }
        }
        (!all.is_empty()).then(|| Self::Named {
            name: text.to_owned(),
            all,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Named { name, .. } => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Parses an address. A name is resolved here, so that the generator never waits for a resolver.
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
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        if !text.contains(':') {
            let rule = "must be `host:port` or `unix:PATH`".to_owned();
            return Err(wrong(rule));
        }
        let found = (text.to_socket_addrs())
            .map_err(|error| wrong(format!("must be `host:port` or `unix:PATH` ({error})")))?;
        Self::named(text, found).ok_or_else(|| wrong("the name has no address".to_owned()))
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
    fn a_name_has_all_of_its_addresses_in_the_resolvers_order() {
        let Address::Named { name, all } = "localhost:9".parse().unwrap() else {
            panic!("a name");
        };
        assert_eq!(name, "localhost:9");
        for found in "localhost:9".to_socket_addrs().unwrap() {
            assert!(all.contains(&found), "{found} of {all:?}");
        }
        let [six, four]: [SocketAddr; 2] = ["[::1]:9", "127.0.0.1:9"].map(|a| a.parse().unwrap());
        let both = Address::named("a:9", [six, four, six].into_iter()).unwrap();
        assert_eq!(both.tcp(), [six, four]);
        assert_eq!(
            (both.to_string(), both.authority()),
            ("a:9".into(), "a:9".into())
        );
        assert_eq!(Address::named("a:9", std::iter::empty()), None);
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
