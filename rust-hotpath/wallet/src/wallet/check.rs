//! The rules of requests. The texts, "<field>: <rule>", are exactly those of the Go service.

use std::collections::HashSet;

use crate::ledger::rules;
use crate::stats::Window;
use crate::stats::calendar::Step;
use hotpath::model::{Refusal, VerdictCode};

pub(super) const MAX_ACCOUNTS: usize = 1_000;
const MAX_PERCENTILES: usize = 100;
const MAX_BASIS_POINTS: u32 = 10_000;
const MAX_LIMIT: u32 = 100;

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::verdict(VerdictCode::InvalidArgument, message)
}

pub(super) fn account_id(id: &str) -> Result<(), Refusal> {
    account_id_at(id, || "account_id".to_owned())
}

pub(super) fn account_ids<T: AsRef<str>>(ids: &[T]) -> Result<(), Refusal> {
    if ids.len() > MAX_ACCOUNTS {
        return Err(invalid("account_ids: must be at most 1000"));
    }
    let mut seen = HashSet::with_capacity_and_hasher(ids.len(), ahash::RandomState::new());
    for (index, id) in ids.iter().map(AsRef::as_ref).enumerate() {
        account_id_at(id, || format!("account_ids[{index}]"))?;
        if !seen.insert(id) {
            return Err(invalid(format!("account_ids[{index}]: must not repeat")));
        }
    }
    Ok(())
}

pub(super) fn asset(asset: &str) -> Result<(), Refusal> {
    if rules::is_asset(asset) {
        return Ok(());
    }
    Err(invalid(
        "asset: must be 1-16 bytes of printable ASCII without spaces",
    ))
}

pub(super) fn optional_asset(name: Option<&str>) -> Result<(), Refusal> {
    name.map_or(Ok(()), asset)
}

pub(super) fn time(field: &str, time_us: i64) -> Result<(), Refusal> {
    if rules::is_time_us(time_us) {
        return Ok(());
    }
    Err(invalid(format!(
        "{field}: must be from 0001-01-01 to 9999-12-31 UTC"
    )))
}

pub(super) fn window(from_us: i64, to_us: i64) -> Result<Window, Refusal> {
    time("from_us", from_us)?;
    time("to_us", to_us)?;
    if from_us >= to_us {
        return Err(invalid("from_us: must be before to_us"));
    }
    Ok(Window { from_us, to_us })
}

pub(super) fn percentiles(basis_points: &[u32]) -> Result<(), Refusal> {
    if basis_points.len() > MAX_PERCENTILES {
        return Err(invalid("percentiles: must be at most 100"));
    }
    for (index, points) in basis_points.iter().enumerate() {
        if !(1..=MAX_BASIS_POINTS).contains(points) {
            return Err(invalid(format!(
                "percentiles[{index}]: must be 1-10000 basis points"
            )));
        }
        if basis_points[..index].contains(points) {
            return Err(invalid(format!("percentiles[{index}]: must not repeat")));
        }
    }
    Ok(())
}

pub(super) fn limit(limit: u32) -> Result<usize, Refusal> {
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit as usize);
    }
    Err(invalid("limit: must be 1-100"))
}

pub(super) fn step(number: i32) -> Result<Step, Refusal> {
    match number {
        1 => Ok(Step::Hour),
        2 => Ok(Step::Day),
        3 => Ok(Step::Week),
        4 => Ok(Step::Month),
        _ => Err(invalid("step: must be HOUR, DAY, WEEK or MONTH")),
    }
}

/// Converts a figure to what an answer can hold.
pub(super) fn fit(field: &str, figure: i128) -> Result<i64, Refusal> {
    i64::try_from(figure).map_err(|_| {
        let text = format!("{field}: does not fit int64");
        Refusal::verdict(VerdictCode::OutOfRange, text)
    })
}

fn account_id_at(id: &str, field: impl FnOnce() -> String) -> Result<(), Refusal> {
    if rules::is_account_id(id) {
        return Ok(());
    }
    Err(invalid(format!(
        "{}: must be 1-64 bytes of printable ASCII without spaces",
        field()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        match result {
            Err(Refusal::Verdict { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_bad_account_is_named_by_rule_then_repeat() {
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(account_ids(&ids(&["a", "b"])), Ok(()));
        assert_eq!(account_ids::<&str>(&[]), Ok(()));
        assert_eq!(
            message(account_ids(&ids(&["a", "b", "a", ""]))),
            "account_ids[2]: must not repeat"
        );
        assert_eq!(
            message(account_ids(&ids(&["a", "", "a"]))),
            "account_ids[1]: must be 1-64 bytes of printable ASCII without spaces"
        );
        let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
        assert_eq!(account_ids(&many[..1_000]), Ok(()));
        assert_eq!(
            message(account_ids(&many)),
            "account_ids: must be at most 1000"
        );
    }

    #[test]
    fn a_window_is_checked_start_end_then_order() {
        const MIN: i64 = rules::MIN_TIME_US;
        const MAX: i64 = rules::MAX_TIME_US;
        assert!(window(MIN, MAX).is_ok());
        let range = "must be from 0001-01-01 to 9999-12-31 UTC";
        let expect = |from, to, text: &str| assert_eq!(message(window(from, to)), text);
        expect(MAX + 1, MIN - 1, &format!("from_us: {range}"));
        expect(MAX, MAX + 1, &format!("to_us: {range}"));
        expect(0, 0, "from_us: must be before to_us");
        expect(1, 0, "from_us: must be before to_us");
    }

    #[test]
    fn percentiles_are_distinct_basis_points() {
        assert_eq!(percentiles(&[10_000, 1]), Ok(()));
        let every: Vec<u32> = (1..=101).collect();
        assert_eq!(percentiles(&every[..100]), Ok(()));
        for (points, text) in [
            (&every[..], "percentiles: must be at most 100"),
            (&[1, 0, 1], "percentiles[1]: must be 1-10000 basis points"),
            (&[10_001], "percentiles[0]: must be 1-10000 basis points"),
            (&[5, 6, 5, 0], "percentiles[2]: must not repeat"),
        ] {
            assert_eq!(message(percentiles(points)), text);
        }
    }

    #[test]
    fn limits_and_steps_have_no_default() {
        assert_eq!((limit(1), limit(100)), (Ok(1), Ok(100)));
        for bad in [0, 101, u32::MAX] {
            assert_eq!(message(limit(bad)), "limit: must be 1-100");
        }
        for bad in [0, 5, -1] {
            assert_eq!(message(step(bad)), "step: must be HOUR, DAY, WEEK or MONTH");
        }
    }

    #[test]
    fn a_figure_fits_up_to_the_ends_of_int64() {
        for end in [i64::MIN, i64::MAX] {
            assert_eq!(fit("net", i128::from(end)), Ok(end));
        }
        assert_eq!(
            message(fit("net", i128::from(i64::MAX) + 1)),
            "net: does not fit int64"
        );
    }
}
