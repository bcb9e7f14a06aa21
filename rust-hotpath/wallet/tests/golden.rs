//! Golden replies in `proto/golden/*.json`, which every language must reproduce.
//!
//! A file holds events and cases. The events are base64 of encoded transactions, at the positions 1, 2, …. A case is a
//! request and its reply at a position: `{"description", "events": [..], "cases": [{"name", "method", "position",
//! "request", "code", "message", "response"}]}`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hotpath::model::{Model, Refusal, VerdictCode};
use hotpath_wallet::Wallet;
use serde_json::Value;

type State = <Wallet as Model>::State;

/// Code, message and reply bytes, as a case states them.
type Outcome = (String, String, Vec<u8>);

#[test]
fn the_golden_replies_are_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/golden");
    check_folder(&folder).unwrap_or_else(|error| panic!("{error}"));
}

/// Checks every file, and returns the number of cases.
fn check_folder(folder: &Path) -> Result<usize, String> {
    let listed = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = listed.map(|entry| entry.expect("a folder entry").path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let mut cases = 0;
    for file in &files {
        let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        cases += check_file(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    if files.is_empty() {
        return Err(format!("{}: no golden file was found", folder.display()));
    }
    Ok(cases)
}

fn check_file(text: &str) -> Result<usize, String> {
    let file: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let versions = replay(list(&file, "events")?)?;
    let cases = list(&file, "cases")?;
    if cases.is_empty() {
        return Err("cases: there is none".into());
    }
    for case in cases {
        let name = string(case, "name")?;
        check_case(case, &versions).map_err(|e| format!("case {name:?}: {e}"))?;
    }
    Ok(cases.len())
}

/// Returns the state at every position.
fn replay(events: &[Value]) -> Result<Vec<State>, String> {
    let mut state = State::default();
    let mut versions = vec![state.clone()];
    for (index, event) in events.iter().enumerate() {
        let bytes = bytes(event, "event")?;
        let applied = Wallet::decode_event(&bytes).and_then(|e| Wallet::apply(&mut state, &e));
        applied.map_err(|e| format!("event {}: {e}", index + 1))?;
        versions.push(state.clone());
    }
    Ok(versions)
}

fn check_case(case: &Value, versions: &[State]) -> Result<(), String> {
    let position = case["position"].as_u64().ok_or("position: not a number")?;
    let state = usize::try_from(position).ok().and_then(|p| versions.get(p));
    let state = state.ok_or("position: there are fewer events")?;
    let request = bytes(&case["request"], "request")?;
    let expected = (
        string(case, "code")?.to_owned(),
        string(case, "message")?.to_owned(),
        bytes(&case["response"], "response")?,
    );
    let given = answer(state, method(string(case, "method")?)?, &request)?;
    if given != expected {
        return Err(format!("expected {expected:?}, got {given:?}"));
    }
    Ok(())
}

fn method(path: &str) -> Result<usize, String> {
    let name = path.strip_prefix(&format!("/{}/", Wallet::SERVICE));
    let index = name.and_then(|name| Wallet::METHODS.iter().position(|m| *m == name));
    index.ok_or(format!("method: {path} is not hot"))
}

fn answer(state: &State, method: usize, request: &[u8]) -> Result<Outcome, String> {
    let mut reply = Vec::new();
    let result =
        Wallet::parse(method, request).and_then(|query| Wallet::answer(state, &query, &mut reply));
    match result {
        Ok(()) => Ok(("OK".into(), String::new(), reply)),
        Err(Refusal::Verdict { code, message, .. }) => {
            let code = match code {
                VerdictCode::InvalidArgument => "INVALID_ARGUMENT",
                VerdictCode::NotFound => "NOT_FOUND",
                VerdictCode::OutOfRange => "OUT_OF_RANGE",
                other => return Err(format!("status: {other:?} is none of the wallet's")),
            };
            Ok((code.into(), message, Vec::new()))
        }
        Err(Refusal::Malformed(error)) => Err(format!("request: {error}")),
        Err(Refusal::Decline(reason)) => Err(format!("declined: {reason}")),
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a [Value], String> {
    let array = value[field].as_array();
    array
        .map(Vec::as_slice)
        .ok_or(format!("{field}: not a list"))
}

fn string<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field]
        .as_str()
        .ok_or(format!("{field}: not a string"))
}

fn bytes(value: &Value, field: &str) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or(format!("{field}: not a string"))?;
    BASE64_STANDARD
        .decode(text)
        .map_err(|e| format!("{field}: {e}"))
}

/// Tests the reader of golden files with one credit of 5 GBP to account "a" at the epoch: its balance, and two requests
/// that are refused. The bytes are written by hand, so they do not depend on either encoder.
mod reader {
    use super::*;
    use serde_json::json;

    const EVENT: &[u8] = b"\x08\x01\x12\x01t\x20\x01\x2a\x0c\x0a\x01a\x12\x03GBP\x18\x05\x20\x01";
    const BALANCE: &[u8] = b"\x0a\x0f\x0a\x03GBP\x10\x05\x30\x05\x38\x05\x40\x01\x48\x00";

    fn case(position: u64, request: &[u8], code: &str, message: &str, reply: &[u8]) -> Value {
        json!({
            "name": "a case",
            "method": "/wallet.v1.WalletService/GetBalance",
            "position": position,
            "request": BASE64_STANDARD.encode(request),
            "code": code,
            "message": message,
            "response": BASE64_STANDARD.encode(reply),
        })
    }

    fn check(cases: &[Value]) -> Result<usize, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = json!({
            "description": "by hand",
            "events": [BASE64_STANDARD.encode(EVENT)],
            "cases": cases,
        });
        fs::write(folder.path().join("hand.json"), file.to_string()).expect("a file");
        fs::write(folder.path().join("README.md"), "not a case").expect("a file");
        check_folder(folder.path())
    }

    #[test]
    fn good_cases_pass() {
        let rule = "account_id: must be 1-64 bytes of printable ASCII without spaces";
        let cases = [
            case(1, b"\x0a\x01a", "OK", "", BALANCE),
            case(
                0,
                b"\x0a\x01a",
                "NOT_FOUND",
                "account_id: has no entries",
                b"",
            ),
            case(0, b"", "INVALID_ARGUMENT", rule, b""),
        ];
        assert_eq!(check(&cases), Ok(3));
    }

    #[test]
    fn a_wrong_case_fails() {
        for wrong in [
            case(1, b"\x0a\x01a", "OK", "", b""),
            case(1, b"\x0a\x01a", "OK", "x", BALANCE),
            case(1, b"\x0a\x01a", "NOT_FOUND", "", BALANCE),
            case(2, b"\x0a\x01a", "OK", "", BALANCE),
            case(1, b"\xff", "OK", "", BALANCE),
        ] {
            assert!(check(&[wrong]).is_err_and(|e| e.contains("a case")));
        }
    }

    #[test]
    fn no_case_is_a_failure() {
        assert!(check(&[]).is_err_and(|e| e.contains("there is none")));
        let empty = tempfile::tempdir().expect("a folder");
        assert!(check_folder(empty.path()).is_err_and(|e| e.contains("no golden file")));
        assert!(check_folder(&empty.path().join("missing")).is_err());
    }
}
