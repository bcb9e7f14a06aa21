//! The requests of a scenario, encoded before the first is sent.

use crate::{
    error::{Error, Kind, Result},
    ids::Place,
    scenario::Scenario,
    traffic::Workload,
};
use std::sync::Arc;

/// Encodes a pool of requests for every entry of the mix. `run_id` makes the ids of writes unique to a run.
pub fn prepare(
    _scenario: &Scenario,
    _places: &[Place],
    _run_id: &str,
) -> Result<Arc<dyn Workload>> {
    Err(Error::new(Kind::Internal, "not there yet"))
}
