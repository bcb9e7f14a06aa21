#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use super::*;
use crate::{
    error::Kind,
    ids::Place,
    scenario::{Scenario, parse},
};
use prost_reflect::{DynamicMessage, Value};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

const DAY_US: i64 = 86_400_000_000;

fn places(count: usize) -> Vec<Place> {
    let place = |i: usize| Place {
        account: format!("account-{i}"),
        asset: ["GBP", "EUR"][i % 2].to_owned(),
        span_us: (i as i64 * DAY_US, (i as i64 + 100) * DAY_US - 1),
    };
    (0..count).map(place).collect()
}

fn scenario(head: &str, mix: &[(&str, u32, &str)]) -> Scenario {
    let mut text = format!("title = \"Some\"\n{head}\n");
    for (method, weight, request) in mix {
        text += &format!(
            "[[mix]]\nmethod = \"wallet.v1.WalletService/{method}\"\nweight = {weight}\npool = 500\nrequest = {{ {request} }}\n"
        );
    }
    parse::parse(Path::new("some.toml"), text).unwrap()
}

fn prepared(head: &str, mix: &[(&str, u32, &str)]) -> Arc<dyn Workload> {
    scenario(head, mix).requests(&places(40), "run").unwrap()
}

fn refused(head: &str, mix: &[(&str, u32, &str)], places: &[Place], run_id: &str) -> String {
    let error = scenario(head, mix).requests(places, run_id).err().unwrap();
    assert_eq!(error.kind(), Kind::Input);
    error.to_string()
}

fn decode(name: &str, bytes: &[u8]) -> DynamicMessage {
    let name = format!("wallet.v1.{name}");
    let descriptor = schema::pool().get_message_by_name(&name).unwrap();
    DynamicMessage::decode(descriptor, bytes).unwrap()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field).unwrap();
    value.as_str().unwrap().to_owned()
}

fn int(message: &DynamicMessage, field: &str) -> i64 {
    message.get_field_by_name(field).unwrap().as_i64().unwrap()
}

fn each(workload: &dyn Workload, name: &str) -> Vec<DynamicMessage> {
    (0..300)
        .map(|n| decode(name, workload.read(5, n).message))
        .collect()
}

#[test]
fn account_asset_and_period_belong_together() {
    let request = "account_id = \"$account\", asset = \"$asset\", from_us = \"$from_us\", to_us = \"$to_us\", percentiles = [5000, 9900]";
    let workload = prepared("", &[("GetStatistics", 1, request)]);
    let places: HashMap<String, Place> = places(40)
        .into_iter()
        .map(|place| (place.account.clone(), place))
        .collect();
    let mut lengths = HashSet::new();
    for message in each(&*workload, "GetStatisticsRequest") {
        let place = &places[&text(&message, "account_id")];
        assert_eq!(text(&message, "asset"), place.asset);
        let (from, to) = (int(&message, "from_us"), int(&message, "to_us"));
        assert!(place.span_us.0 <= from && from < to && to <= place.span_us.1 + 1);
        lengths.insert(to - from);
        let percentiles = message.get_field_by_name("percentiles").unwrap();
        let asked = [Value::U32(5_000), Value::U32(9_900)];
        assert_eq!(percentiles.as_list().unwrap(), asked);
    }
    assert!(lengths.len() > 100);
}

#[test]
fn a_period_has_its_length_or_is_the_whole_span() {
    for (length, us) in [
        ("30d", 30 * DAY_US),
        ("500d", 100 * DAY_US),
        ("90s", 90_000_000),
    ] {
        let request = format!(
            "account_id = \"$account\", from_us = \"$from_us:{length}\", to_us = \"$to_us:{length}\", step = \"STEP_DAY\""
        );
        let workload = prepared("", &[("GetTimeSeries", 1, &request)]);
        for message in each(&*workload, "GetTimeSeriesRequest") {
            assert_eq!(int(&message, "to_us") - int(&message, "from_us"), us);
            let step = message.get_field_by_name("step").unwrap();
            assert_eq!(step.as_enum_number(), Some(2));
        }
    }
}

#[test]
fn batches_name_distinct_accounts() {
    let request = "account_ids = \"$accounts:5-30\"";
    let workload = prepared("", &[("BatchGetBalances", 1, request)]);
    let mut sizes = HashSet::new();
    for message in each(&*workload, "BatchGetBalancesRequest") {
        let ids = message
            .get_field_by_name("account_ids")
            .unwrap()
            .into_owned();
        let ids: Vec<&str> = ids
            .as_list()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        sizes.insert(ids.len());
        assert!(!message.has_field_by_name("asset"));
    }
    assert!(sizes.iter().all(|size| (5..=30).contains(size)) && sizes.len() > 20);
}

#[test]
fn positions_end_where_they_should() {
    for (request, last) in [("$position", 7), ("$position:3", 3)] {
        let request = format!("position = \"{request}\"");
        let workload = prepared(
            "[ledger]\ntransactions = 7",
            &[("GetTransaction", 1, &request)],
        );
        let messages = each(&*workload, "GetTransactionRequest");
        let positions: HashSet<u64> = messages
            .iter()
            .map(|message| {
                message
                    .get_field_by_name("position")
                    .unwrap()
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(positions, (1..=last).collect());
    }
}

#[test]
fn constants_are_sent_as_they_are() {
    let request = "account_id = \"$$a\", asset = \"\", as_of_us = 0";
    let workload = prepared("", &[("GetBalance", 1, request)]);
    let message = &each(&*workload, "GetBalanceRequest")[0];
    assert_eq!(text(message, "account_id"), "$a");
    // An optional field that is given is present, whatever its value.
    assert!(message.has_field_by_name("asset") && message.has_field_by_name("as_of_us"));
}

#[test]
fn a_counterparty_is_another_account() {
    let request = "account_id = \"$account\", page_token = \"$counterparty\"";
    let workload = prepared("", &[("ListEntries", 1, request)]);
    for message in each(&*workload, "ListEntriesRequest") {
        assert_ne!(text(&message, "account_id"), text(&message, "page_token"));
    }
}

#[test]
fn reads_depend_on_seed_and_number_only() {
    let mix = [("GetBalance", 1, "account_id = \"$account\"")];
    let (one, other) = (prepared("", &mix), prepared("", &mix));
    let sent = |workload: &Arc<dyn Workload>, seed: u64| -> Vec<Vec<u8>> {
        (0..200)
            .map(|n| workload.read(seed, n).message.to_vec())
            .collect()
    };
    assert_eq!(sent(&one, 1), sent(&one, 1));
    assert_eq!(sent(&one, 1), sent(&other, 1));
    assert_ne!(sent(&one, 1), sent(&one, 2));
    // The requests of a seed are not those of the next seed shifted by one.
    assert_ne!(sent(&one, 1)[1..], sent(&one, 2)[..199]);
}

#[test]
fn weights_are_followed() {
    let account = "account_id = \"$account\"";
    let workload = prepared(
        "",
        &[
            ("GetBalance", 50, account),
            (
                "ListEntries",
                10,
                "account_id = \"$account\", page_size = 1",
            ),
            (
                "GetBalance",
                40,
                "account_id = \"$account\", asset = \"$asset\"",
            ),
        ],
    );
    let methods: Vec<(&str, bool)> = workload
        .methods()
        .iter()
        .map(|m| (&*m.path, m.hot))
        .collect();
    let service = "/wallet.v1.WalletService";
    assert_eq!(
        methods,
        [
            (&*format!("{service}/GetBalance"), true),
            (&*format!("{service}/ListEntries"), false)
        ]
    );
    let mut counts = [0_u32; 2];
    for n in 0..20_000 {
        counts[usize::from(workload.read(9, n).method)] += 1;
    }
    assert!((1_800..2_200).contains(&counts[1]), "{counts:?}");
}

#[test]
fn zipf_prefers_the_top_and_uniform_does_not() {
    let top = |head: &str| {
        let workload = prepared(head, &[("GetBalance", 1, "account_id = \"$account\"")]);
        let messages = each(&*workload, "GetBalanceRequest");
        messages
            .iter()
            .filter(|m| text(m, "account_id") == "account-0")
            .count()
    };
    let (uniform, zipf) = (top("[ids]\ndraw = \"uniform\""), top(""));
    let steep = top("[ids]\nexponent = 3");
    assert!(
        uniform < 30 && 40 < zipf && zipf < 120 && 220 < steep,
        "{uniform} {zipf} {steep}"
    );
}

#[test]
fn only_the_top_of_the_list_takes_part() {
    let workload = prepared(
        "[ids]\ndraw = \"uniform\"\nat_most = 3",
        &[("GetBalance", 1, "account_id = \"$account\"")],
    );
    let messages = each(&*workload, "GetBalanceRequest");
    let accounts: HashSet<String> = messages.iter().map(|m| text(m, "account_id")).collect();
    assert_eq!(accounts.len(), 3);
    assert!(accounts.contains("account-2"));
}

#[test]
fn lists_must_be_long_enough() {
    let batch = [("BatchGetBalances", 1, "account_ids = \"$accounts:2-9\"")];
    assert_eq!(
        refused("", &batch, &places(8), "run"),
        "some.toml:3: mix: needs 9 different accounts, and the list of ids has 8"
    );
    let balance = [("GetBalance", 1, "account_id = \"$account\"")];
    assert_eq!(
        refused("", &balance, &[], "run"),
        "the list of ids is empty"
    );
    let writes = "[load]\nwrites_per_second = 1";
    assert_eq!(
        refused(writes, &balance, &places(1), "run"),
        "writes need at least two different accounts in the list of ids"
    );
    assert_eq!(
        refused(writes, &balance, &places(2), &"x".repeat(39)),
        "the run's id must be at most 38 bytes of printable ASCII"
    );
}

#[test]
fn without_a_rate_there_are_no_writes() {
    let workload = prepared("", &[("GetBalance", 1, "account_id = \"$account\"")]);
    assert_eq!(workload.write(0), None);
    assert_eq!(workload.methods().len(), 1);
}

#[test]
fn writes_are_payments_that_balance() {
    let head = "[load]\nwrites_per_second = 1";
    let mix = [("GetBalance", 1, "account_id = \"$account\"")];
    let (workload, other) = (prepared(head, &mix), prepared(head, &mix));
    let newest = places(40)
        .iter()
        .map(|place| place.span_us.1)
        .max()
        .unwrap();
    let mut before = newest;
    let mut pairs = HashSet::new();
    for k in 0..500 {
        let (method, bytes) = workload.write(k).unwrap();
        assert_eq!(other.write(k).unwrap().1, bytes);
        assert_eq!(workload.methods()[usize::from(method)].path, writes::PATH);
        let message = decode("PostTransactionRequest", &bytes);
        assert_eq!(text(&message, "transaction_id"), format!("load-run-{k}"));
        let at = int(&message, "occurred_at_us");
        assert!(before < at);
        before = at;
        pairs.insert(payment(&message));
    }
    assert!(pairs.len() > 50);
}

/// Returns payer and payee of a payment, after checking that its two entries mirror each other.
fn payment(message: &DynamicMessage) -> (String, String) {
    let entries = message.get_field_by_name("entries").unwrap().into_owned();
    let entries = entries.as_list().unwrap();
    let [from, to] = [&entries[0], &entries[1]].map(|entry| entry.as_message().unwrap());
    assert_eq!(entries.len(), 2);
    assert_eq!(int(from, "amount") + int(to, "amount"), 0);
    assert!(int(from, "amount") < 0);
    assert_eq!(text(from, "account_id"), text(to, "counterparty"));
    assert_eq!(text(to, "account_id"), text(from, "counterparty"));
    assert_ne!(text(from, "account_id"), text(to, "account_id"));
    assert_eq!(text(from, "asset"), text(to, "asset"));
    for entry in [from, to] {
        let phase = entry.get_field_by_name("phase").unwrap();
        assert_eq!(phase.as_enum_number(), Some(1));
        assert_eq!(text(entry, "kind"), "payment");
    }
    (text(from, "account_id"), text(to, "account_id"))
}

#[test]
fn a_write_at_the_end_of_time_stays_in_it() {
    let head = "[load]\nwrites_per_second = 1";
    let scenario = scenario(head, &[("GetBalance", 1, "account_id = \"$account\"")]);
    let mut places = places(2);
    places[1].span_us.1 = crate::ids::LAST_US;
    let workload = scenario.requests(&places, &"r".repeat(38)).unwrap();
    let message = decode(
        "PostTransactionRequest",
        &workload.write(u64::MAX).unwrap().1,
    );
    assert_eq!(int(&message, "occurred_at_us"), crate::ids::LAST_US);
    assert_eq!(text(&message, "transaction_id").len(), 64);
}

proptest::proptest! {
    #[test]
    fn any_seed_and_number_give_a_request_of_a_pool(seed: u64, n: u64) {
        static WORKLOAD: std::sync::OnceLock<Arc<dyn Workload>> = std::sync::OnceLock::new();
        let workload = WORKLOAD.get_or_init(|| prepared("", &[
            ("GetBalance", 1, "account_id = \"$account\""),
            ("ListEntries", 1_000_000, "account_id = \"$account\""),
        ]));
        let read = workload.read(seed, n);
        assert_eq!(read, workload.read(seed, n));
        let name = ["GetBalanceRequest", "ListEntriesRequest"][usize::from(read.method)];
        assert!(text(&decode(name, read.message), "account_id").starts_with("account-"));
    }
}
