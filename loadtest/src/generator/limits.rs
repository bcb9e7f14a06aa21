//! The limit of open files, which many connections run into.

use crate::error::{Error, Kind, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the process has open besides connections.
const OTHERS: u64 = 256;

/// Raises the limit of open files so that `connections` more fit in.
pub(super) fn allow_files(connections: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").map_or(OTHERS, |open| open.count() as u64);
    let needed = open + connections as u64 + OTHERS;
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        // Only privileged processes may raise the hard limit, so it is left alone where it is high enough.
        maximum: limit.maximum.map(|maximum| maximum.max(needed)),
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        let hard = limit.maximum.unwrap_or(0);
        let message = format!(
            "{connections} connections need {needed} open files, the hard limit is {hard}: raise it with `ulimit -Hn` or ask for fewer"
        );
        Error::caused(Kind::Usage, message, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_number_says_what_to_do() {
        // Above `fs.nr_open` of any kernel, so that it fails for the privileged as well.
        let error = allow_files(usize::MAX / 4).unwrap_err();
        assert!(error.to_string().contains("ulimit -Hn"), "{error}");
        assert!(allow_files(10).is_ok());
    }
}
