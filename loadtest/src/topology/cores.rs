//! Which cores the servers and the generator run on.

use crate::error::{Error, Kind, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores of the servers and of the generator. Empty lists mean that nothing is pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cores {
    /// Cores of the servers.
    pub servers: Vec<usize>,
    /// The core of the generator.
    pub generator: Vec<usize>,
}

/// Returns the cores that this thread may run on.
#[must_use]
pub fn allowed() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(|_| Vec::new(), |set| list(&set))
}

/// Chooses the cores as asked for. By default the last core is the generator's, and the others are the servers'. With a
/// single core nothing is pinned.
pub fn choose(
    servers: Option<&[usize]>,
    generator: Option<usize>,
    allowed: &[usize],
) -> Result<Cores> {
    let asked = servers.unwrap_or_default().iter().chain(&generator);
    let absent: Vec<_> = asked.filter(|core| !allowed.contains(core)).collect();
    if !absent.is_empty() {
        let text = format!(
            "--server-cores, --generator-core: this process may not use {absent:?}, only {allowed:?}"
        );
        return Err(Error::new(Kind::Usage, text));
    }
    if allowed.len() < 2 && servers.is_none() && generator.is_none() {
        return Ok(Cores::default());
    }
    let spare = |core: &&usize| servers.is_none_or(|servers| !servers.contains(core));
    let generator = generator.or_else(|| allowed.iter().rev().find(spare).copied());
    let others = allowed
        .iter()
        .copied()
        .filter(|core| Some(*core) != generator);
    let cores = Cores {
        servers: servers.map_or_else(|| others.collect(), <[usize]>::to_vec),
        generator: generator.into_iter().collect(),
    };
    if cores.servers.is_empty() || cores.generator.is_empty() {
        let text = "--server-cores, --generator-core: no core is left for the other side; --no-pin shares them all";
        return Err(Error::new(Kind::Usage, text));
    }
    Ok(cores)
}

/// Pins this thread, and the threads and processes that it starts from now on. Does nothing without cores.
pub fn pin(cores: &[usize]) -> Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    apply(&set)
}

/// Calls `start` while pinned to `cores`, so that a process that it starts stays there. Afterwards this thread runs
/// where it did before.
pub fn pinned<T>(cores: &[usize], start: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None).map_err(not_pinned)?;
    pin(cores)?;
    let started = start();
    apply(&before)?;
    Ok(started)
}

fn apply(set: &CpuSet) -> Result<()> {
    sched_setaffinity(None, set).map_err(not_pinned)
}

fn not_pinned(error: rustix::io::Errno) -> Error {
    let text = "cannot pin to cores; --no-pin does without";
    Error::caused(Kind::Target, text, std::io::Error::from(error))
}

fn list(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU)
        .filter(|core| set.is_set(*core))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(servers: &[usize], generator: &[usize]) -> Cores {
        Cores {
            servers: servers.to_vec(),
            generator: generator.to_vec(),
        }
    }

    #[test]
    fn the_last_core_is_the_generators() {
        assert_eq!(
            choose(None, None, &[0, 1, 2]).unwrap(),
            cores(&[0, 1], &[2])
        );
        assert_eq!(
            choose(None, Some(0), &[0, 1, 2]).unwrap(),
            cores(&[1, 2], &[0])
        );
        assert_eq!(
            choose(Some(&[2]), None, &[0, 1, 2]).unwrap(),
            cores(&[2], &[1])
        );
        assert_eq!(
            choose(Some(&[1]), Some(1), &[0, 1]).unwrap(),
            cores(&[1], &[1])
        );
        assert_eq!(choose(None, None, &[3]).unwrap(), Cores::default());
    }

    #[test]
    fn cores_that_are_not_there_are_refused() {
        let error = choose(Some(&[0, 9]), None, &[0, 1]).unwrap_err();
        assert!(error.to_string().contains("[9], only [0, 1]"), "{error}");
        assert!(choose(Some(&[0, 1]), None, &[0, 1]).is_err());
        assert!(choose(None, Some(0), &[0]).is_err());
    }

    #[test]
    fn pinning_lasts_as_long_as_it_should() {
        let before = allowed();
        let last = before.last().copied().unwrap();
        assert_eq!(pinned(&[last], allowed).unwrap(), [last]);
        assert_eq!(allowed(), before);
    }
}
