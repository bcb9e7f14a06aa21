//! Makes the requests of a scenario.

use super::Scenario;
use crate::{
    error::{Error, Kind, Result},
    ids::Place,
    traffic::Workload,
    workload::{Prepared, draw::Drawer, template},
};
use std::sync::Arc;

impl Scenario {
    /// Encodes a pool of requests for every entry of the mix. `run_id` makes the ids of writes unique to a run. There
    /// are writes only if the scenario asks for some.
    ///
    /// A ledger that the user gives may be shorter than `ledger.transactions`. A caller that knows its position must
    /// set `ledger.transactions` to it first.
    pub fn requests(&self, places: &[Place], run_id: &str) -> Result<Arc<dyn Workload>> {
        let places = &places[..places.len().min(self.ids.at_most)];
        if places.is_empty() {
            return Err(Error::new(Kind::Input, "the list of ids is empty"));
        }
        let drawer = |seed| Drawer::new(places, self.ids.draw, self.ledger.transactions, seed);
        let mut prepared = Prepared::default();
        for (i, entry) in self.mix.iter().enumerate() {
            let rejected = |rule: String| {
                let message = format!("{}.toml:{}: mix: {rule}", self.name, entry.line);
                Error::new(Kind::Input, message)
            };
            let template = template::compile(&entry.path, &entry.request)
                .map_err(|mut faults| rejected(faults.swap_remove(0).rule))?;
            let mut drawer = drawer(i as u64); // An entry that is added last leaves the requests of those before it as they are.
            prepared
                .add(
                    &entry.path,
                    (entry.weight, entry.pool),
                    &template,
                    &mut drawer,
                )
                .map_err(rejected)?;
        }
        if self.writes.wanted() {
            prepared.add_writes(drawer(u64::MAX), run_id)?;
        }
        Ok(Arc::new(prepared))
    }
}
