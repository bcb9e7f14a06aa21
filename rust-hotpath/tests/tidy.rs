//! Tests the rules of style that matter: which parts may use which, how long things may be, and where panics may be.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// The folders of the workspace's crates, relative to this crate.
const ENGINE: &str = ".";
const WALLET: &str = "wallet";
const COUNTER: &str = "examples/counter";
const BURN: &str = "examples/burn";
const INTEROP: &str = "examples/interop";
const FAULTY: &str = "examples/faulty";
const LOADTEST: &str = "../loadtest";
/// The properties of the fuzz targets are tests, so they may panic.
const FUZZ: &str = "fuzz";
const BURNER: &str = "burner";
const CRATES: &[&str] = &[
    ENGINE, WALLET, COUNTER, BURN, INTEROP, FAULTY, BURNER, FUZZ, LOADTEST,
];
/// The crates with a model that the engine serves.
const ADOPTERS: [&str; 5] = [WALLET, COUNTER, BURN, INTEROP, FAULTY];
/// The public API of the engine, as its documentation lists it. Adopters may use nothing else.
const PUBLIC: [&str; 7] = [
    "allocator",
    "app",
    "config",
    "error",
    "model",
    "program!",
    "schema",
];

type Table = &'static [(&'static str, &'static str)];

/// Each part, and all other parts of this crate that it may use, in one text. A new part must be added here and in ARCHITECTURE.md.
const MAY_USE: Table = &[
    ("allocator", ""),
    ("error", ""),
    ("frame_pointers", ""),
    ("histogram", ""),
    ("json", ""),
    ("limits", ""),
    ("model", ""),
    // Its macro names the type by its public path, which is in `app`.
    ("program", "app"),
    ("proto", ""),
    ("schema", ""),
    ("settings", ""),
    ("ready_file", "error json settings"),
    ("runtime", "error limits settings"),
    ("shutdown", "limits settings"),
    ("socket", "error"),
    ("listen", "error limits settings socket"),
    ("readiness", "limits settings"),
    ("view", "error limits model settings"),
    ("ingest", "error histogram limits model settings view"),
    (
        "feed",
        "error ingest limits model proto readiness shutdown view",
    ),
    (
        "serve",
        "error histogram limits model readiness settings view",
    ),
    ("exchange", "error limits model serve shutdown view"),
    ("front", "exchange limits listen model serve view"),
    (
        "control",
        "error feed limits model program proto schema view",
    ),
    ("health", "error model proto readiness shutdown view"),
    (
        "admin",
        "allocator error exchange feed frame_pointers histogram json limits model readiness serve settings view",
    ),
    (
        "config",
        "admin error ingest listen model program readiness ready_file runtime serve settings shutdown view",
    ),
];

/// The same for the wallet. What it may use of the engine is in [`PUBLIC`].
const WALLET_MAY_USE: Table = &[
    ("proto", ""),
    ("history", ""),
    ("ledger", "history"),
    ("stats", "history ledger"),
    ("draw", "proto"),
    ("wallet", "draw history ledger stats proto"),
    ("verify", "draw proto wallet"),
];

/// The same for `loadtest`. It uses nothing of the other crates, because it measures every target alike. Each part uses
/// only parts above it, so that no two use each other.
const LOADTEST_MAY_USE: Table = &[
    ("error", ""),
    ("arrivals", ""),
    ("traffic", "arrivals"),
    ("measure", ""),
    ("http2", ""),
    ("generator", "error http2 measure traffic"),
    ("ids", "error"),
    ("workload", "error ids traffic"),
    ("scenario", "error ids traffic workload"),
    ("capture", "arrivals error traffic"),
    ("record", "capture error generator"),
    ("process", "error measure"),
    ("topology", "error generator process scenario"),
    ("report", "error measure scenario"),
    ("plan", "report traffic"),
    ("compare", "error measure report traffic"),
    ("terminal", "generator report"),
];

/// Words that may not occur in the pure parts, in whatever way they are imported.
const IMPURE: &[&str] = &[
    "tokio",
    "prost",
    "tonic",
    "hyper",
    "serde",
    "Instant",
    "SystemTime",
    "TcpStream",
    "UnixStream",
    "fs",
    "env",
    "thread",
    "Mutex",
];

struct File {
    krate: &'static str,
    path: PathBuf,
    lines: Vec<String>,
}

fn crate_dir(krate: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(krate)
}

/// Finds the files of all crates.
fn files(below: &[&str]) -> Vec<File> {
    CRATES
        .iter()
        .flat_map(|krate| files_of(krate, below))
        .collect()
}

fn files_of(krate: &'static str, below: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    for dir in below {
        collect(krate, &crate_dir(krate).join(dir), &mut found);
    }
    assert!(!found.is_empty());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(krate: &'static str, dir: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(krate, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(str::to_owned).collect();
            let path = path.strip_prefix(crate_dir(krate)).unwrap().to_owned();
            found.push(File { krate, path, lines });
        }
    }
}

impl File {
    /// The name in messages.
    fn name(&self) -> String {
        Path::new(self.krate).join(&self.path).display().to_string()
    }

    /// The top-level module, e.g. `serve` of `src/serve/frame.rs`.
    fn part(&self) -> String {
        let below = self.path.strip_prefix("src").unwrap();
        let first = below
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is_test(&self) -> bool {
        let name = self.path.file_name().unwrap();
        let below_tests = self
            .path
            .components()
            .any(|part| part.as_os_str() == "tests");
        name == "tests.rs" || below_tests || self.krate == FUZZ || !self.path.starts_with("src")
    }

    /// The lines before the unit tests.
    fn code(&self) -> &[String] {
        let tests = self
            .lines
            .iter()
            .position(|line| line.trim() == "#[cfg(test)]");
        let end = tests.filter(|_| self.path != Path::new("src/lib.rs"));
        &self.lines[..end.unwrap_or(self.lines.len())]
    }

    /// The parts that the code names by `krate::…`, also within braces that span lines.
    fn uses_of(&self, krate: &str) -> BTreeSet<String> {
        // Links in comments are not dependencies.
        let code = self.code().iter();
        let lines: Vec<_> = code
            .map(String::as_str)
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let text = lines.join("\n");
        let mut used = BTreeSet::new();
        let prefix = format!("{krate}::");
        for (at, _) in text.match_indices(&prefix) {
            if text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let rest = &text[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => used.extend(group_heads(group)),
                None => used.extend(head(rest)),
            }
        }
        used
    }
}

fn head(path: &str) -> Option<String> {
    let end = path
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// The first segments of the paths in a brace group.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut item) = (Vec::new(), 0, String::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(head(std::mem::take(&mut item).trim())),
            other if depth == 0 => item.push(other),
            _ => {}
        }
    }
    heads.extend(head(item.trim()));
    heads
}

#[test]
fn who_may_depend_on_whom() {
    let of_hotpath = misused(ENGINE, MAY_USE, &["lib", "app"]);
    let of_wallet = misused(WALLET, WALLET_MAY_USE, &["lib", "main"]);
    // `run` drives all other parts, on behalf of `cli` and `app`.
    let of_loadtest = misused(
        LOADTEST,
        LOADTEST_MAY_USE,
        &["lib", "main", "app", "cli", "run"],
    );
    let broken = [of_hotpath, of_wallet, of_loadtest].concat();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    for (at, (part, uses)) in LOADTEST_MAY_USE.iter().enumerate() {
        let above = &LOADTEST_MAY_USE[..at];
        let is_above = |used: &str| above.iter().any(|(name, _)| *name == used);
        let ordered = uses.split_whitespace().all(is_above);
        assert!(ordered, "loadtest: {part} uses {uses}");
    }
    let manifest = fs::read_to_string(crate_dir(LOADTEST).join("Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("hotpath"),
        "loadtest must not depend on what it measures"
    );
}

/// Finds uses that the table does not allow. Parts that compose the others may use all of them.
fn misused(krate: &'static str, table: Table, composing: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files_of(krate, &["src"])
        .iter()
        .filter(|file| !file.is_test())
    {
        let part = file.part();
        if composing.contains(&part.as_str()) {
            continue;
        }
        let Some((_, allowed)) = table.iter().find(|(name, _)| *name == part) else {
            broken.push(format!(
                "{}: `{part}` is not in the table of this test",
                file.name()
            ));
            continue;
        };
        for used in file.uses_of("crate") {
            if used != part && !allowed.split(' ').any(|other| other == used) {
                broken.push(format!("{}: `{part}` must not use `{used}`", file.name()));
            }
        }
    }
    broken
}

#[test]
fn adopters_use_the_public_api_only() {
    let lib = fs::read_to_string(crate_dir(ENGINE).join("src/lib.rs")).unwrap();
    let mut listed = vec!["program!"];
    let mut hidden = false;
    for line in lib.lines() {
        let name = line.strip_prefix("pub mod ");
        listed.extend(
            name.filter(|_| !hidden)
                .map(|name| name.trim_end_matches(';')),
        );
        hidden = line == "#[doc(hidden)]";
    }
    listed.sort_unstable();
    assert_eq!(listed, PUBLIC);
    let mut broken = Vec::new();
    let files = ADOPTERS.iter().flat_map(|krate| files_of(krate, &["src"]));
    for file in files.filter(|file| !file.is_test()) {
        for used in file.uses_of("hotpath") {
            if !PUBLIC.iter().any(|part| part.trim_end_matches('!') == used) {
                broken.push(format!("{}: hotpath::{used} is not public", file.name()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_ledger_is_pure() {
    for file in files_of(WALLET, &["src"])
        .iter()
        .filter(|file| ["history", "ledger", "stats"].contains(&file.part().as_str()))
        // A simulation takes its seed from the environment.
        .filter(|file| !file.is_test())
    {
        assert_eq!(file.uses_of("hotpath"), BTreeSet::new(), "{}", file.name());
        for (line, text) in (1..).zip(file.code()) {
            let code = text.split("//").next().unwrap_or_default();
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let impure = words.find(|word| IMPURE.contains(word));
            assert!(
                impure.is_none(),
                "{}:{line}: uses {}",
                file.name(),
                impure.unwrap()
            );
        }
    }
}

#[test]
fn files_and_functions_stay_short() {
    let mut broken = Vec::new();
    for file in files(&["src", "tests", "benches"]) {
        if file.lines.len() > FILE_LINES {
            broken.push(format!("{}: {} lines", file.name(), file.lines.len()));
        }
        for (start, length) in functions(&file.lines) {
            if length > FUNCTION_LINES {
                broken.push(format!(
                    "{}:{start}: a function of {length} lines",
                    file.name()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The first line and the length of each function, found by rustfmt's indentation.
fn functions(lines: &[String]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words = code
            .split_whitespace()
            .take_while(|word| !word.starts_with("fn"));
        let qualifiers = [
            "pub",
            "pub(crate)",
            "pub(super)",
            "const",
            "async",
            "unsafe",
        ];
        let is_function =
            code.contains("fn ") && words.clone().all(|word| qualifiers.contains(&word));
        if !is_function || line.ends_with(';') {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(line.len() - code.len()));
        if let Some(length) = lines[index..].iter().position(|end| *end == closing) {
            found.push((index + 1, length + 1));
        }
    }
    found
}

#[test]
fn modules_lie_beside_their_folders() {
    for file in files(&["src", "tests"]) {
        let path = file.name();
        assert_ne!(
            file.path.file_name().unwrap(),
            "mod.rs",
            "{path}: `foo.rs` beside `foo/` instead"
        );
        let parent = file.path.parent().unwrap();
        let top = ["src", "tests", "tests/it"]
            .iter()
            .any(|top| parent == Path::new(top));
        let beside = crate_dir(file.krate).join(parent).with_extension("rs");
        assert!(
            top || beside.exists(),
            "{path}: no {} beside its folder",
            beside.display()
        );
    }
}

#[test]
fn panics_are_for_tests() {
    let forbidden = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        // It is allowed with a reason.
        "unreachable!()",
        "todo!(",
        "unimplemented!(",
    ];
    let mut broken = Vec::new();
    for file in files(&["src"])
        .iter()
        .filter(|file| !file.is_test() && file.part() != "main")
    {
        for (line, text) in (1..).zip(file.code()) {
            if forbidden.iter().any(|call| text.contains(call))
                && !text.trim_start().starts_with("//")
            {
                broken.push(format!("{}:{line}: {}", file.name(), text.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
