//! Runs a browser without a window.

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const LONGEST: Duration = Duration::from_secs(120);
const OFFLINE: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
];

#[derive(Debug)]
pub(crate) struct Browser {
    binary: PathBuf,
}

impl Browser {
    /// Returns the browser that `BROWSER_BIN` names, or the first one that is installed.
    pub(crate) fn find() -> Self {
        let named = env::var_os("BROWSER_BIN").map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let installed = || {
            let folders: Vec<_> = env::split_paths(&path).collect();
            let places = NAMES
                .iter()
                .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
            places.into_iter().find(|place| place.is_file())
        };
        let binary = named.or_else(installed);
        let binary = binary.unwrap_or_else(|| {
            panic!(
                "no browser to look at the report with: none of {NAMES:?} is on the PATH. \
                 Install one (Debian: apt-get install chromium), or name one by BROWSER_BIN."
            )
        });
        Self { binary }
    }

    /// Opens a page, and returns what the browser printed once it is done.
    pub(crate) fn run(&self, page: &Path, arguments: &[&str]) -> String {
        let profile = tempfile::tempdir().unwrap();
        let log = profile.path().join("log");
        let mut child = Command::new(&self.binary)
            .args(OFFLINE)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let mut stdout = child.stdout.take().expect("it is piped");
        let (sender, done) = mpsc::channel();
        thread::spawn(move || {
            let mut printed = String::new();
            let read = stdout.read_to_string(&mut printed);
            let _ = sender.send(read.map(|_| printed));
        });
        let printed = done.recv_timeout(LONGEST);
        if printed.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().unwrap();
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let printed = printed
            .unwrap_or_else(|_| panic!("the browser took longer than {LONGEST:?}: {}", said()));
        assert!(
            status.success(),
            "the browser ended with {status}: {}",
            said()
        );
        printed.expect("the browser prints UTF-8")
    }
}
