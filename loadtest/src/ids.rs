//! The ids that requests ask for.
//!
//! A list is text with one id a line. A line is either as `walletd ids` prints it
//! (`account<TAB>asset<TAB>entries<TAB>first_us<TAB>last_us`), or an account id alone. Empty lines and lines that begin
//! with `#` are skipped; but `# position N`, `# accounts N` and `# entries N` describe the ledger. Limits: 512 MiB,
//! 5,000,000 ids; account 1-64 and asset 1-16 bytes of printable ASCII without spaces; times within the years 1 to
//! 9999.

use crate::error::{Error, Kind, Result};
use std::{fs::File, io::Read as _, path::Path};

/// 0001-01-01, the earliest time that a ledger may hold.
pub const FIRST_US: i64 = -62_135_596_800_000_000;
/// The last microsecond of 9999.
pub const LAST_US: i64 = 253_402_300_799_999_999;
/// The rule that [`is_asset`] checks.
pub const ASSET_RULE: &str = "asset must be 1-16 bytes of printable ASCII without spaces";

const ACCOUNT_RULE: &str = "account must be 1-64 bytes of printable ASCII without spaces";
const MAX_FILE_BYTES: u64 = 512 << 20;
const MAX_IDS: usize = 5_000_000;
/// At most this many mistakes are listed. A file of the wrong kind has one in every line.
const MAX_MISTAKES: usize = 20;

/// An account with one of its assets, and the time span of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Account id.
    pub account: String,
    /// One of its assets.
    pub asset: String,
    /// `occurred_at_us` of the first and the last entry. Periods of reads are drawn from this span.
    pub span_us: (i64, i64),
}

/// A list of ids, and what its comments say about the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// The ids, in the order of the list.
    pub places: Vec<Place>,
    /// The ledger's position.
    pub position: Option<u64>,
    /// Accounts that have entries.
    pub accounts: Option<u64>,
    /// Entries of all accounts.
    pub entries: Option<u64>,
}

/// Reads a list of ids. Lines with an account id alone take their asset and span from `fallback`.
pub fn read(path: &Path, fallback: &Place) -> Result<Vec<Place>> {
    read_list(path, fallback).map(|list| list.places)
}

/// Reads a list of ids as [`read`] does, and what its comments say.
pub fn read_list(path: &Path, fallback: &Place) -> Result<List> {
    let name = path.display().to_string();
    let failed = |error| Error::caused(Kind::Input, format!("can't read ids {name}"), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let mut file = file.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("{name}: must be a file of at most 512 MiB");
        return Err(Error::new(Kind::Input, message));
    }
    // Bytes that are not UTF-8 break the rule of their field, and that error names the line.
    parse(&name, &String::from_utf8_lossy(&bytes), fallback)
}

/// Parses a list. `name` is used in errors. An empty asset in `fallback` means that there is no fallback.
pub fn parse(name: &str, text: &str, fallback: &Place) -> Result<List> {
    let mut list = List::default();
    let mut mistakes = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some(comment) = line.strip_prefix('#') {
            list.note(comment);
        } else if !line.is_empty() {
            match place(line, fallback) {
                Ok(place) => list.places.push(place),
                Err(rule) => mistakes.push(format!("{name}:{}: {rule}", i + 1)),
            }
        }
        if list.places.len() > MAX_IDS {
            mistakes.push(format!("{name}:{}: at most {MAX_IDS} ids are read", i + 1));
            break;
        }
    }
    if mistakes.is_empty() && list.places.is_empty() {
        mistakes.push(format!("{name}:1: must name at least one account"));
    }
    if mistakes.is_empty() {
        return Ok(list);
    }
    if mistakes.len() > MAX_MISTAKES {
        let more = mistakes.len() - MAX_MISTAKES;
        mistakes.truncate(MAX_MISTAKES);
        mistakes.push(format!("{name}: and {more} more lines are wrong"));
    }
    Err(Error::new(Kind::Input, mistakes.join("\n")))
}

/// Whether a ledger can hold this asset.
#[must_use]
pub fn is_asset(text: &str) -> bool {
    is_word(text, 16)
}

impl List {
    fn note(&mut self, comment: &str) {
        let mut words = comment.split_whitespace();
        let target = match words.next() {
            Some("position") => &mut self.position,
            Some("accounts") => &mut self.accounts,
            Some("entries") => &mut self.entries,
            _ => return,
        };
        if let (Some(number), None) = (words.next(), words.next()) {
            *target = number.parse().ok().or(*target);
        }
    }
}

fn place(line: &str, fallback: &Place) -> std::result::Result<Place, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let (account, asset, span_us) = match fields[..] {
        [account] if fallback.asset.is_empty() => {
            let rule =
                "is an account id alone: set ids.asset, ids.from_us and ids.to_us in the scenario";
            return Err(format!("{account:?} {rule}"));
        }
        [account] => (account, fallback.asset.as_str(), fallback.span_us),
        [account, asset, entries, first, last] => {
            whole::<u64>("entries", entries)?;
            let span_us = (whole("first_us", first)?, whole("last_us", last)?);
            (account, asset, span_us)
        }
        _ => {
            let rule = "must be account, asset, entries, first_us and last_us between tabs, or an account id alone";
            return Err(rule.to_owned());
        }
    };
    if !is_word(account, 64) {
        return Err(format!("{account:?}: {ACCOUNT_RULE}"));
    }
    if !is_asset(asset) {
        return Err(format!("{asset:?}: {ASSET_RULE}"));
    }
    if span_us.0 < FIRST_US || span_us.0 > span_us.1 || span_us.1 > LAST_US {
        return Err("first_us must not be after last_us, both in the years 1 to 9999".to_owned());
    }
    Ok(Place {
        account: account.to_owned(),
        asset: asset.to_owned(),
        span_us,
    })
}

fn whole<T: std::str::FromStr>(field: &str, text: &str) -> std::result::Result<T, String> {
    let number = text.parse();
    number.map_err(|_| format!("{text:?}: {field} must be a whole number"))
}

fn is_word(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn bare() -> Place {
        Place {
            account: String::new(),
            asset: String::new(),
            span_us: (0, 0),
        }
    }

    fn mistakes(text: &str, fallback: &Place) -> String {
        parse("ids.tsv", text, fallback).unwrap_err().to_string()
    }

    #[test]
    fn reads_what_walletd_prints() {
        let text = "# position 520000\n# accounts 2\n# entries 7\n# of a test\nanna\tGBP\t5\t-3\t9\nben\tEUR\t2\t4\t4\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.tsv");
        fs::write(&path, text).unwrap();
        let list = read_list(&path, &bare()).unwrap();
        assert_eq!(
            (list.position, list.accounts, list.entries),
            (Some(520_000), Some(2), Some(7))
        );
        let anna = Place {
            account: "anna".to_owned(),
            asset: "GBP".to_owned(),
            span_us: (-3, 9),
        };
        assert_eq!(list.places[0], anna);
        assert_eq!(read(&path, &bare()).unwrap(), list.places);
    }

    #[test]
    fn an_id_alone_takes_the_fallback() {
        let fallback = Place {
            asset: "GBP".to_owned(),
            span_us: (1, 2),
            ..bare()
        };
        let list = parse("ids.txt", "anna\r\n\nben\n", &fallback).unwrap();
        let accounts: Vec<&str> = list.places.iter().map(|p| p.account.as_str()).collect();
        assert_eq!(accounts, ["anna", "ben"]);
        assert_eq!(list.places[1].asset, "GBP");
        assert_eq!(list.places[1].span_us, (1, 2));
    }

    #[test]
    fn mistakes_name_their_lines() {
        let text = "anna\n\nanna\tGBP\t1\nanna\tGBP\tx\t1\t2\nan na\tGBP\t1\t1\t2\nanna\t\t1\t1\t2\nanna\tGBP\t1\t3\t2\n";
        assert_eq!(
            mistakes(text, &bare()),
            "ids.tsv:1: \"anna\" is an account id alone: set ids.asset, ids.from_us and ids.to_us in the scenario\n\
             ids.tsv:3: must be account, asset, entries, first_us and last_us between tabs, or an account id alone\n\
             ids.tsv:4: \"x\": entries must be a whole number\n\
             ids.tsv:5: \"an na\": account must be 1-64 bytes of printable ASCII without spaces\n\
             ids.tsv:6: \"\": asset must be 1-16 bytes of printable ASCII without spaces\n\
             ids.tsv:7: first_us must not be after last_us, both in the years 1 to 9999"
        );
    }

    #[test]
    fn an_empty_list_is_a_mistake() {
        let text = mistakes("# position 1\n", &bare());
        assert_eq!(text, "ids.tsv:1: must name at least one account");
    }

    #[test]
    fn a_list_of_another_kind_is_told_briefly() {
        let text = mistakes(&"a\tb\n".repeat(50), &bare());
        assert_eq!(text.lines().count(), MAX_MISTAKES + 1);
        assert!(text.ends_with("ids.tsv: and 30 more lines are wrong"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("nowhere.tsv"), &bare()).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(
            error
                .to_string()
                .starts_with("can't read ids nowhere.tsv: ")
        );
    }
}
