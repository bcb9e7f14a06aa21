//! Answers questions as the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use hotpath::model::{Refusal, VerdictCode};
use hotpath_wallet::proto as p;
use num_bigint::BigInt;

use crate::oracle::{Dated, MAX_TIME, MIN_TIME, Oracle, token};

type Answer<T> = Result<T, Refusal>;

const HOUR: i64 = 3_600_000_000;
const TOKEN: &str = "bytes of printable ASCII without spaces";

/// The start of each month from 0001-01 to 10000-01, found by adding up the days.
static MONTHS: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let mut starts = vec![MIN_TIME];
    for year in 1..=9_999 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            starts.push(starts[starts.len() - 1] + days * 24 * HOUR);
        }
    }
    starts
});

fn refuse<T>(code: VerdictCode, message: impl Into<String>) -> Answer<T> {
    Err(Refusal::verdict(code, message))
}

fn rule(holds: bool, message: impl Into<String>) -> Answer<()> {
    if holds {
        return Ok(());
    }
    refuse(VerdictCode::InvalidArgument, message)
}

fn fit(field: &str, figure: &BigInt) -> Answer<i64> {
    match i64::try_from(figure) {
        Ok(figure) => Ok(figure),
        Err(_) => refuse(
            VerdictCode::OutOfRange,
            format!("{field}: does not fit int64"),
        ),
    }
}

fn check_account(id: &str) -> Answer<()> {
    rule(token(id, 64), format!("account_id: must be 1-64 {TOKEN}"))
}

fn check_asset(asset: &str) -> Answer<()> {
    rule(token(asset, 16), format!("asset: must be 1-16 {TOKEN}"))
}

fn check_time(field: &str, t: i64) -> Answer<()> {
    rule(
        (MIN_TIME..=MAX_TIME).contains(&t),
        format!("{field}: must be from 0001-01-01 to 9999-12-31 UTC"),
    )
}

fn check_window(account: &str, asset: &str, from: i64, to: i64) -> Answer<()> {
    check_account(account)?;
    check_asset(asset)?;
    check_time("from_us", from)?;
    check_time("to_us", to)?;
    rule(from < to, "from_us: must be before to_us")
}

fn sum<'a>(entries: impl IntoIterator<Item = &'a Dated<'a>>, sign: i64) -> BigInt {
    let amounts = entries.into_iter().map(|(_, e)| e.amount);
    amounts
        .filter(|a| a.signum() == sign)
        .map(|a| BigInt::from(a) * sign)
        .sum()
}

impl Oracle {
    pub fn balance(&self, at: u64, q: &p::GetBalanceRequest) -> Answer<p::GetBalanceResponse> {
        check_account(&q.account_id)?;
        q.asset.as_deref().map_or(Ok(()), check_asset)?;
        q.as_of_us.map_or(Ok(()), |t| check_time("as_of_us", t))?;
        self.must_exist(at, &q.account_id)?;
        let balances = self.balances(at, &q.account_id, q.asset.as_deref(), q.as_of_us)?;
        Ok(p::GetBalanceResponse { balances })
    }

    pub fn batch(
        &self,
        at: u64,
        q: &p::BatchGetBalancesRequest,
    ) -> Answer<p::BatchGetBalancesResponse> {
        rule(
            q.account_ids.len() <= 1_000,
            "account_ids: must be at most 1000",
        )?;
        for (i, id) in q.account_ids.iter().enumerate() {
            rule(
                token(id, 64),
                format!("account_ids[{i}]: must be 1-64 {TOKEN}"),
            )?;
            let first = q.account_ids.iter().position(|other| other == id);
            rule(
                first == Some(i),
                format!("account_ids[{i}]: must not repeat"),
            )?;
        }
        q.asset.as_deref().map_or(Ok(()), check_asset)?;
        let mut accounts = Vec::new();
        for id in &q.account_ids {
            let found = self.exists(at, id);
            accounts.push(p::AccountBalances {
                account_id: id.clone(),
                found,
                balances: if found {
                    self.balances(at, id, q.asset.as_deref(), None)?
                } else {
                    vec![]
                },
            });
        }
        Ok(p::BatchGetBalancesResponse { accounts })
    }

    pub fn statistics(
        &self,
        at: u64,
        q: &p::GetStatisticsRequest,
    ) -> Answer<p::GetStatisticsResponse> {
        check_window(&q.account_id, &q.asset, q.from_us, q.to_us)?;
        let points = &q.percentiles;
        rule(points.len() <= 100, "percentiles: must be at most 100")?;
        for (i, point) in points.iter().enumerate() {
            let range = format!("percentiles[{i}]: must be 1-10000 basis points");
            rule((1..=10_000).contains(point), range)?;
            let first = points.iter().position(|other| other == point);
            rule(
                first == Some(i),
                format!("percentiles[{i}]: must not repeat"),
            )?;
        }
        self.must_exist(at, &q.account_id)?;
        let mut entries = self.posted(at, &q.account_id, &q.asset);
        entries.retain(|(t, _)| q.from_us <= *t && *t < q.to_us);
        statistics(&entries, points)
    }

    pub fn top(
        &self,
        at: u64,
        q: &p::GetTopCounterpartiesRequest,
    ) -> Answer<p::GetTopCounterpartiesResponse> {
        check_window(&q.account_id, &q.asset, q.from_us, q.to_us)?;
        rule((1..=100).contains(&q.limit), "limit: must be 1-100")?;
        self.must_exist(at, &q.account_id)?;
        let mut groups = BTreeMap::<&str, Vec<Dated>>::new();
        for (t, e) in self.posted(at, &q.account_id, &q.asset) {
            if q.from_us <= t && t < q.to_us && !e.counterparty.is_empty() {
                groups.entry(&e.counterparty).or_default().push((t, e));
            }
        }
        let mut rows: Vec<_> = groups.into_iter().collect();
        // The sort is stable, so counterparties with equal sums stay ascending by id.
        rows.sort_by_key(|(_, entries)| -(sum(entries, 1) + sum(entries, -1)));
        let mut counterparties = Vec::new();
        for (id, entries) in rows.into_iter().take(q.limit as usize) {
            counterparties.push(p::CounterpartyTotal {
                counterparty: id.to_owned(),
                count: entries.len() as u64,
                credit_sum: fit("credit_sum", &sum(&entries, 1))?,
                debit_sum: fit("debit_sum", &sum(&entries, -1))?,
            });
        }
        Ok(p::GetTopCounterpartiesResponse { counterparties })
    }

    pub fn series(&self, at: u64, q: &p::GetTimeSeriesRequest) -> Answer<p::GetTimeSeriesResponse> {
        check_window(&q.account_id, &q.asset, q.from_us, q.to_us)?;
        rule(
            (1..=4).contains(&q.step),
            "step: must be HOUR, DAY, WEEK or MONTH",
        )?;
        let starts = starts(q.from_us, q.to_us, q.step);
        rule(
            starts.len() <= 10_001,
            "step: must give at most 10000 buckets",
        )?;
        self.must_exist(at, &q.account_id)?;
        let entries = self.posted(at, &q.account_id, &q.asset);
        let mut buckets = Vec::new();
        for pair in starts.windows(2) {
            let end = pair[1].min(q.to_us);
            let inside = |t: i64| pair[0].max(q.from_us) <= t && t < end;
            let here: Vec<_> = entries
                .iter()
                .filter(|(t, _)| inside(*t))
                .copied()
                .collect();
            let past: Vec<_> = entries.iter().filter(|(t, _)| *t < end).copied().collect();
            buckets.push(p::TimeBucket {
                start_us: pair[0],
                count: here.len() as u64,
                credit_sum: fit("credit_sum", &sum(&here, 1))?,
                debit_sum: fit("debit_sum", &sum(&here, -1))?,
                closing_balance: fit("closing_balance", &(sum(&past, 1) - sum(&past, -1)))?,
            });
        }
        Ok(p::GetTimeSeriesResponse { buckets })
    }

    fn must_exist(&self, at: u64, account: &str) -> Answer<()> {
        if self.exists(at, account) {
            return Ok(());
        }
        refuse(VerdictCode::NotFound, "account_id: has no entries")
    }

    fn balances(
        &self,
        at: u64,
        account: &str,
        asset: Option<&str>,
        as_of: Option<i64>,
    ) -> Answer<Vec<p::Balance>> {
        let own: Vec<Dated> = self
            .entries(at)
            .filter(|(_, e)| e.account_id == account)
            .collect();
        let assets: BTreeSet<&str> = match asset {
            Some(asset) => [asset].into(),
            None => own.iter().map(|(_, e)| &*e.asset).collect(),
        };
        let mut rows = Vec::new();
        for asset in assets {
            let counted = own
                .iter()
                .filter(|(t, e)| e.asset == asset && as_of.is_none_or(|as_of| *t < as_of));
            let counted: Vec<Dated> = counted.copied().collect();
            let side = |phase, sign| sum(counted.iter().filter(|(_, e)| e.phase == phase), sign);
            let (credits, debits) = (side(1, 1), side(1, -1));
            let (credits_held, debits_held) = (side(2, 1) - side(3, 1), side(2, -1) - side(3, -1));
            rows.push(p::Balance {
                asset: asset.to_owned(),
                credits_posted: fit("credits_posted", &credits)?,
                debits_posted: fit("debits_posted", &debits)?,
                credits_pending: fit("credits_pending", &credits_held)?,
                debits_pending: fit("debits_pending", &debits_held)?,
                posted: fit("posted", &(&credits - &debits))?,
                available: fit("available", &(credits - debits - debits_held))?,
                entry_count: counted.len() as u64,
                last_occurred_at_us: counted.iter().map(|(t, _)| *t).max(),
            });
        }
        Ok(rows)
    }
}

fn statistics(entries: &[Dated], points: &[u32]) -> Answer<p::GetStatisticsResponse> {
    let (credits, debits) = (sum(entries, 1), sum(entries, -1));
    let net = &credits - &debits;
    let n = BigInt::from(entries.len());
    let mut sizes: Vec<i64> = entries.iter().map(|(_, e)| e.amount.abs()).collect();
    sizes.sort_unstable();
    let squares: BigInt = sizes.iter().map(|x| BigInt::from(*x).pow(2)).sum();
    let count = |sign| {
        entries
            .iter()
            .filter(|(_, e)| e.amount.signum() == sign)
            .count() as u64
    };
    let parties = entries.iter().map(|(_, e)| &*e.counterparty);
    let parties: BTreeSet<&str> = parties.filter(|c| !c.is_empty()).collect();
    let any = !entries.is_empty();
    let nth = |point: &u32| {
        let rank = (*point as usize * sizes.len()).div_ceil(10_000);
        p::Percentile {
            basis_points: *point,
            value: sizes[rank - 1],
        }
    };
    Ok(p::GetStatisticsResponse {
        credit_count: count(1),
        debit_count: count(-1),
        credit_sum: fit("credit_sum", &credits)?,
        debit_sum: fit("debit_sum", &debits)?,
        net: fit("net", &net)?,
        min: entries.iter().map(|(_, e)| e.amount).min(),
        max: entries.iter().map(|(_, e)| e.amount).max(),
        mean: any.then(|| nearest_even(&net, &n)),
        stddev: any.then(|| {
            let root = (&n * squares - &net * &net).sqrt();
            i64::try_from(root / &n).expect("a deviation is no larger than an amount")
        }),
        percentiles: points.iter().filter(|_| any).map(nth).collect(),
        distinct_counterparties: parties.len() as u64,
        first_occurred_at_us: entries.iter().map(|(t, _)| *t).min(),
        last_occurred_at_us: entries.iter().map(|(t, _)| *t).max(),
    })
}

/// Of the whole numbers around `sum / n`, returns the nearest. Of two that are equally near, it returns the even one.
fn nearest_even(sum: &BigInt, n: &BigInt) -> i64 {
    let around = sum / n;
    let near = |offset: i64| i64::try_from(&around + offset).expect("a mean fits");
    let mut candidates = [near(-1), near(0), near(1)];
    let distance = |c: i64| {
        let away = sum - n * c;
        if away < BigInt::from(0) { -away } else { away }
    };
    candidates.sort_by_key(|&c| (distance(c), c % 2 != 0));
    candidates[0]
}

/// The starts of all buckets and the end of the last one. The list is cut short when there are too many.
fn starts(from: i64, to: i64, step: i32) -> Vec<i64> {
    if step == 4 {
        let first = MONTHS.partition_point(|start| *start <= from) - 1;
        let last = MONTHS.partition_point(|start| *start < to);
        return MONTHS[first..=last].iter().take(10_002).copied().collect();
    }
    // 0001-01-01 was a Monday, so weeks can be counted from there too.
    let width = [0, HOUR, 24 * HOUR, 7 * 24 * HOUR][step as usize];
    let mut starts = vec![from - (from - MIN_TIME) % width];
    while starts[starts.len() - 1] < to && starts.len() < 10_002 {
        starts.push(starts[starts.len() - 1] + width);
    }
    starts
}
