//! Payments between drawn accounts. Each is a pure function of its number.

use super::{draw::Drawer, pool::mixed, schema};
use crate::{
    error::{Error, Kind, Result},
    ids::{LAST_US, Place},
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

/// The method of writes.
pub(super) const PATH: &str = "/wallet.v1.WalletService/PostTransaction";

/// The id has at most 64 bytes. `load-`, another dash and 20 digits leave this much.
const MAX_RUN_ID: usize = 38;
const PAIRS: usize = 4_096;
const SEED: u64 = 0x7772_6974_6573;
/// The time between two payments.
const STEP_US: i64 = 1_000;
const MAX_AMOUNT: i64 = 100_000;
const POSTED: i32 = 1;

/// Everything that payments are made from.
#[derive(Debug)]
pub(super) struct Writes {
    run_id: String,
    message: MessageDescriptor,
    entry: MessageDescriptor,
    pairs: Vec<(Place, Place)>,
    /// The time of the latest entry of the listed accounts. Payments occur after it, like any new payment.
    after_us: i64,
}

impl Writes {
    /// Prepares payments between accounts of the list.
    pub(super) fn new(mut drawer: Drawer<'_>, run_id: &str) -> Result<Self> {
        if run_id.len() > MAX_RUN_ID || !run_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule =
                format!("the run's id must be at most {MAX_RUN_ID} bytes of printable ASCII");
            return Err(Error::new(Kind::Input, rule));
        }
        let after_us = drawer.newest_us();
        let pairs: Vec<_> = (0..PAIRS).map(|_| drawer.pair()).collect();
        if pairs.iter().any(|(from, to)| from.account == to.account) {
            let rule = "writes need at least two different accounts in the list of ids";
            return Err(Error::new(Kind::Input, rule));
        }
        let message = |name| schema::pool().get_message_by_name(name);
        let messages = (
            message("wallet.v1.PostTransactionRequest"),
            message("wallet.v1.Entry"),
        );
        let (Some(message), Some(entry)) = messages else {
            let defect = "the embedded descriptors lack the messages of a write";
            return Err(Error::new(Kind::Internal, defect));
        };
        let pairs = pairs
            .into_iter()
            .map(|(from, to)| (from.clone(), to.clone()));
        let writes = Self {
            run_id: run_id.to_owned(),
            message,
            entry,
            pairs: pairs.collect(),
            after_us,
        };
        match writes.message(0) {
            Some(_) => Ok(writes),
            None => Err(Error::new(Kind::Internal, "writes don't fit their message")),
        }
    }

    /// Encodes the `k`-th payment.
    pub(super) fn encode(&self, k: u64) -> Option<Vec<u8>> {
        self.message(k).map(|message| message.encode_to_vec())
    }

    fn message(&self, k: u64) -> Option<DynamicMessage> {
        let random = mixed(SEED, k);
        let index = usize::try_from(random % self.pairs.len() as u64).ok()?;
        let (payer, payee) = &self.pairs[index];
        let amount = i64::try_from((random >> 32) % MAX_AMOUNT.unsigned_abs()).ok()? + 1;
        let entries = vec![
            self.entry(payer, payee, &payer.asset, -amount)?,
            self.entry(payee, payer, &payer.asset, amount)?,
        ];
        let later = i64::try_from(k).unwrap_or(i64::MAX).saturating_add(1);
        let occurred_at_us = self
            .after_us
            .saturating_add(later.saturating_mul(STEP_US))
            .min(LAST_US);
        let id = format!("load-{}-{k}", self.run_id);
        fill(
            &self.message,
            [
                ("transaction_id", Value::String(id)),
                ("occurred_at_us", Value::I64(occurred_at_us)),
                ("entries", Value::List(entries)),
            ],
        )
    }

    fn entry(&self, of: &Place, other: &Place, asset: &str, amount: i64) -> Option<Value> {
        let text = |text: &str| Value::String(text.to_owned());
        let entry = fill(
            &self.entry,
            [
                ("account_id", text(&of.account)),
                ("asset", text(asset)),
                ("amount", Value::I64(amount)),
                ("phase", Value::EnumNumber(POSTED)),
                ("kind", text("payment")),
                ("counterparty", text(&other.account)),
            ],
        );
        entry.map(Value::Message)
    }
}

/// Fills a message. `None` if it has no field of that name and type.
fn fill<const N: usize>(
    of: &MessageDescriptor,
    fields: [(&str, Value); N],
) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(of.clone());
    for (name, value) in fields {
        message.try_set_field_by_name(name, value).ok()?;
    }
    Some(message)
}
