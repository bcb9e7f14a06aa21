//! Mistakes in a mix.

use super::*;

/// Returns the mistakes of one entry of the mix, whose first line is 3.
fn mix_mistakes(entry: &str) -> Vec<String> {
    mistakes(&format!("title = \"Some\"\n[[mix]]\n{entry}\n"))
}

fn request_mistakes(method: &str, request: &str) -> Vec<String> {
    let method = format!("method = \"/wallet.v1.WalletService/{method}\"");
    mix_mistakes(&format!("{method}\nrequest = {{ {request} }}"))
}

#[test]
fn methods_are_checked() {
    let cases = [
        (
            "method = \"GetBalance\"",
            "must be package.Service/Method, such as wallet.v1.WalletService/GetBalance, not \"/GetBalance\"",
        ),
        (
            "method = \"wallet.v1.WalletService/GetBalanc\"",
            "wallet.v1.WalletService: unknown method; did you mean \"GetBalance\"?",
        ),
        (
            "method = \"wallet.v1.WalletService/PostTransaction\"",
            "is a write, and a mix has reads only: use load.writes_per_second",
        ),
        ("method = 3", "must be a string, not integer"),
    ];
    for (entry, rule) in cases {
        assert_eq!(mix_mistakes(entry), [format!("3: mix.method: {rule}")]);
    }
}

#[test]
fn another_service_can_be_sent_empty_messages_only() {
    let health = "title = \"x\"\n[[mix]]\nmethod = \"grpc.health.v1.Health/Check\"\n";
    assert!(parsed(health).is_ok());
    assert_eq!(
        mistakes(&format!("{health}request = {{ service = \"x\" }}")),
        ["4: mix.request: must be empty: the service's messages aren't known here"]
    );
}

fn told(cases: &[(&str, &str, &str)]) {
    for (method, request, told) in cases {
        let told = format!("4: mix.request.{told}");
        assert_eq!(request_mistakes(method, request), [told]);
    }
}

#[test]
fn values_are_checked_against_the_message() {
    told(&[
        (
            "GetBalance",
            "acount_id = \"x\"",
            "acount_id: unknown field of wallet.v1.GetBalanceRequest; did you mean \"account_id\"?",
        ),
        (
            "GetBalance",
            "account_id = 3",
            "account_id: must be string, not integer",
        ),
        (
            "GetBalance",
            "account_id = [\"a\"]",
            "account_id: must be string, not array",
        ),
        (
            "BatchGetBalances",
            "account_ids = \"x\"",
            "account_ids: must be an array, not string",
        ),
        (
            "BatchGetBalances",
            "account_ids = [\"a\", 1]",
            "account_ids[1]: must be string, not integer",
        ),
        (
            "GetStatistics",
            "percentiles = [4294967296]",
            "percentiles[0]: must be a whole number from 0 to 4294967295, not 4294967296",
        ),
        (
            "GetTimeSeries",
            "step = \"STEP_DAYS\"",
            "step: unknown value of wallet.v1.Step; did you mean \"STEP_DAY\"?",
        ),
        (
            "GetTimeSeries",
            "step = 9",
            "step: wallet.v1.Step has no value 9",
        ),
        (
            "GetTimeSeries",
            "step = true",
            "step: must be enum wallet.v1.Step, not boolean",
        ),
        (
            "GetTransaction",
            "position = -1",
            "position: must be a whole number from 0 to 18446744073709551615, not -1",
        ),
        (
            "GetTransaction",
            "position = 1, transaction_id = \"x\"",
            "transaction_id: excludes position: only one of them can be set",
        ),
    ]);
}

#[test]
fn placeholders_are_checked_against_the_message() {
    told(&[
        (
            "GetBalance",
            "account_id = \"$acount\"",
            "account_id: unknown placeholder \"$acount\"; known are $account, $asset, $counterparty, $accounts:N, $from_us, $to_us, $position; $$ begins a text with a dollar sign",
        ),
        (
            "GetBalance",
            "account_id = \"$accounts:3\"",
            "account_id: $accounts:3 stands for a repeated string, and the field is string",
        ),
        (
            "GetBalance",
            "as_of_us = \"$asset\"",
            "as_of_us: $asset stands for a string, and the field is int64",
        ),
        (
            "BatchGetBalances",
            "account_ids = \"$account\"",
            "account_ids: $account stands for a string, and the field is repeated string",
        ),
        (
            "BatchGetBalances",
            "account_ids = \"$accounts:0\"",
            "account_ids: $accounts takes a number of accounts from 1 to 1000, or two such as 20-50, not \"0\"",
        ),
        (
            "BatchGetBalances",
            "account_ids = \"$accounts:9-3\"",
            "account_ids: $accounts takes a number of accounts from 1 to 1000, or two such as 20-50, not \"9-3\"",
        ),
        (
            "GetStatistics",
            "from_us = \"$from_us:30\"",
            "from_us: a period takes a length up to a century, such as 90s, 15m, 12h or 30d, not \"30\"",
        ),
        (
            "GetStatistics",
            "from_us = \"$from_us:1d\", to_us = \"$to_us\"",
            "to_us: $from_us and $to_us of a request must have the same length",
        ),
        (
            "GetTransaction",
            "position = \"$position:0\"",
            "position: $position takes the highest position, from 1 to 4294967295, not \"0\"",
        ),
    ]);
}

#[test]
fn a_request_of_many_lines_has_a_line_per_key() {
    let told = mix_mistakes(
        "method = \"wallet.v1.WalletService/GetStatistics\"\n[mix.request]\nasset = 1\n\nfrom_us = \"x\"\npercentiles = [\n  1,\n  -1,\n]",
    );
    assert_eq!(
        told,
        [
            "5: mix.request.asset: must be string, not integer",
            "7: mix.request.from_us: must be int64, not string",
            "10: mix.request.percentiles[1]: must be a whole number from 0 to 4294967295, not -1",
        ]
    );
}
