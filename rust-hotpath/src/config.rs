//! The whole configuration. It contains the configuration of each module, and shows all settings in `--help`.

use crate::{
    admin,
    error::{Error, Kind},
    ingest, listen,
    model::Choice,
    program::Program,
    readiness, ready_file, runtime, serve,
    settings::{Group, Limit, Setting, Settings, Source},
    shutdown, view,
};
use std::{ffi::OsString, fmt::Write as _};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program that is configured.
    pub program: Program,
    /// Where to listen.
    pub listen: listen::Config,
    /// HTTP for operators.
    pub admin: admin::Config,
    /// Limits of requests.
    pub serve: serve::Config,
    /// The history.
    pub view: view::Config,
    /// The writer.
    pub ingest: ingest::Config,
    /// Health.
    pub readiness: readiness::Config,
    /// The end of the process.
    pub shutdown: shutdown::Config,
    /// Threads and logs.
    pub runtime: runtime::Config,
    /// The ready file, for launchers.
    pub ready_file: ready_file::Config,
    /// The values of the model's choices, in their order. Where one is missing, the default holds.
    pub chosen: Vec<&'static str>,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To serve.
    Run(Box<Config>),
    /// To print this and end.
    Print(String),
}

const OWN: Group = Group {
    title: "Help",
    settings: &[
        Setting::new(
            "config",
            "FILE",
            "",
            "TOML file of the same settings, in snake_case; flags and variables win",
        ),
        Setting::switch("help", "Print this (also -h)"),
        Setting::switch("version", "Print the version (also -V)"),
    ],
};

const GROUPS: [Group; 10] = [
    listen::Config::SETTINGS,
    admin::Config::SETTINGS,
    serve::Config::SETTINGS,
    view::Config::SETTINGS,
    ingest::Config::SETTINGS,
    readiness::Config::SETTINGS,
    shutdown::Config::SETTINGS,
    runtime::Config::SETTINGS,
    ready_file::Config::SETTINGS,
    OWN,
];

/// Reads the flags, the variables, and the file that they name.
///
/// # Errors
/// One message with all mistakes. Its kind is [`Kind::Config`] if all are in the file, else [`Kind::Usage`].
pub fn read(
    program: Program,
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Asked, Error> {
    read_with(program, &[], args, env)
}

/// Like [`read`], with the choices of a model.
///
/// # Errors
/// The same.
pub fn read_with(
    program: Program,
    choices: &[Choice],
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Asked, Error> {
    let known = groups(choices).into_iter().flat_map(|(_, known)| known);
    let mut settings = Settings::record(known.collect(), args, env);
    if settings.switch("help") {
        return Ok(Asked::Print(help_with(program, choices)));
    }
    if settings.switch("version") {
        let Program { name, version, .. } = program;
        return Ok(Asked::Print(format!("{name} {version}\n")));
    }
    let config = Config::resolve(program, choices, &mut settings);
    if settings.mistakes().is_empty() {
        Ok(Asked::Run(Box::new(config)))
    } else {
        Err(complaint(program, &settings))
    }
}

/// All settings, by the heading in the help. The model's come before the last heading.
fn groups(choices: &[Choice]) -> Vec<(&'static str, Vec<Setting>)> {
    let engine = GROUPS.iter();
    let mut groups: Vec<_> = engine
        .map(|group| (group.title, group.settings.to_vec()))
        .collect();
    if !choices.is_empty() {
        let settings = choices
            .iter()
            .map(|choice| Setting::new(choice.name, choice.values, choice.default(), choice.help));
        groups.insert(GROUPS.len() - 1, ("Model", settings.collect()));
    }
    groups
}

/// The text of `--help`.
#[must_use]
pub fn help(program: Program) -> String {
    help_with(program, &[])
}

/// The text of `--help` with the choices of a model.
#[must_use]
pub fn help_with(program: Program, choices: &[Choice]) -> String {
    let Program {
        name,
        about,
        commands,
        ..
    } = program;
    let purpose = match about {
        "" => String::new(),
        about => format!("{about}\n\n"),
    };
    let mut text = format!(
        "{purpose}Usage: {name} --socket PATH [OPTIONS]\n\n\
         Each option is also a variable (HOTPATHD_RETAIN_MS) and a key of the --config file (retain_ms).\n\
         A flag wins over a variable, a variable over the file.\n",
    );
    if !commands.is_empty() {
        text.push_str("\nCommands:\n");
        text.push_str(commands);
    }
    for (title, settings) in groups(choices) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "\n{title}:");
        for setting in settings {
            let flag = format!("--{} {}", setting.name, setting.value);
            let _ = write!(text, "  {flag:<30} {}", setting.help);
            if !setting.default.is_empty() {
                let _ = write!(text, " [{}]", setting.default);
            }
            let env = setting.has_env().then(|| setting.env());
            let limit = (setting.limit != Limit::None).then(|| setting.limit.to_string());
            let second: Vec<_> = env.into_iter().chain(limit).collect();
            if !second.is_empty() {
                let _ = write!(text, "\n  {:<30} {}", "", second.join(", "));
            }
            text.push('\n');
        }
    }
    let _ = write!(
        text,
        "\nExit codes: 0 drained, 64 usage, 69 another process owns the socket, 70 a mistake in the model (a name that\n\
         metrics cannot show, descriptors that lack a method), 73 a socket or file cannot be created, 74 input or output\n\
         failed, 78 bad configuration file, 130 or 143 a second signal while draining.\n\n\
         Example:\n  {name} --socket /tmp/{name}.sock --admin 127.0.0.1:9000 &\n  \
         curl http://127.0.0.1:9000/readyz\n"
    );
    text
}

impl Config {
    fn resolve(program: Program, choices: &[Choice], settings: &mut Settings) -> Self {
        Self {
            program,
            listen: listen::Config::resolve(settings),
            admin: admin::Config::resolve(settings),
            serve: serve::Config::resolve(settings),
            view: view::Config::resolve(settings),
            ingest: ingest::Config::resolve(settings),
            readiness: readiness::Config::resolve(settings),
            shutdown: shutdown::Config::resolve(settings),
            runtime: runtime::Config::resolve(settings),
            ready_file: ready_file::Config::resolve(settings),
            chosen: choices
                .iter()
                .map(|choice| chosen(choice, settings))
                .collect(),
        }
    }
}

fn chosen(choice: &Choice, settings: &mut Settings) -> &'static str {
    let parsed = settings.parsed(choice.name, |text| {
        let rule = || format!("must be {}", choice.values.replace('|', " or "));
        choice.value(text).ok_or_else(rule)
    });
    parsed.unwrap_or(choice.default())
}

fn complaint(program: Program, settings: &Settings) -> Error {
    let mistakes = settings.mistakes();
    let in_file = |source: &Source| matches!(source, Source::File(..));
    let kind = if mistakes.iter().all(|mistake| in_file(&mistake.source)) {
        Kind::Config
    } else {
        Kind::Usage
    };
    let what = if mistakes.len() == 1 {
        "1 mistake"
    } else {
        &format!("{} mistakes", mistakes.len())
    };
    let mut text = format!("{what}, nothing was started:");
    for mistake in mistakes {
        let _ = write!(text, "\n  {mistake}");
    }
    let _ = write!(text, "\n{} --help shows every option.", program.name);
    Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use std::{fs, time::Duration};

    const PROGRAM: Program = Program::new("counterd", "7.1", "Counts.");

    fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Config, String> {
        let args = args.iter().map(OsString::from);
        let env = env.iter().map(|(name, value)| (name.into(), value.into()));
        match read(PROGRAM, args, env) {
            Ok(Asked::Run(config)) => Ok(*config),
            Ok(Asked::Print(text)) => Err(text),
            Err(error) => Err(format!("{} {error}", error.exit_code())),
        }
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("c.toml");
        fs::write(
            &file,
            "socket = \"/f\"\nretain_ms = 1\nretain_versions = 2\nlifeline = true\n",
        )
        .expect("written");
        let file = file.to_str().expect("UTF-8");
        let env = [
            ("HOTPATHD_RETAIN_MS", "3"),
            ("HOTPATHD_SOCKET", "/e"),
            ("HOTPATHD_CONFIG", file),
        ];
        let config = run(&["--socket=/a"], &env).expect("good");
        assert_eq!(config.listen.socket.to_str(), Some("/a"));
        assert_eq!(config.view.retain, Duration::from_millis(3));
        assert_eq!(config.view.retain_versions, 2);
        assert!(config.shutdown.lifeline);
        assert_eq!(config.view.retain_events, 20_000, "the default");
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("c.toml");
        fs::write(&file, "retain_mss = 1\n\ndrain_ms = [1]\nthreads = 0\n").expect("written");
        let file = file.to_str().expect("UTF-8");
        let args = [
            "--config",
            file,
            "--sokcet",
            "/s",
            "--admin",
            "0.0.0.0:1",
            "--drain-ms=x",
            "-v",
            "--threads",
        ];
        let env = [
            ("HOTPATHD_LISTEN", "here"),
            ("HOTPATHD_NOTHING_LIKE_IT", "1"),
            ("HOTPATHD_PORT_7450_TCP", "tcp://10.0.0.1:7450"),
            ("HOTPATHD_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "x"),
        ];
        let text = run(&args, &env).expect_err("bad");
        assert_eq!(
            text,
            format!(
                "64 12 mistakes, nothing was started:
  flag --sokcet: is unknown; did you mean --socket?
  flag /s: is no flag; there are no other arguments
  flag -v: is unknown
  flag --threads: needs a value: --threads N
  env HOTPATHD_NOTHING_LIKE_IT: is unknown
  file {file}:1: key retain_mss: is unknown; did you mean retain_ms?
  file {file}:3: key drain_ms: must be a string, a whole number or a boolean, not array
  --socket PATH is required (or HOTPATHD_SOCKET, or socket in the file)
  env HOTPATHD_LISTEN: \"here\" must be IP:PORT, such as 127.0.0.1:0
  flag --admin: \"0.0.0.0:1\" must be a loopback address: it shows memory and profiles to anyone
  flag --drain-ms: \"x\" must be a whole number from 0 to 600000
  file {file}:4: \"0\" must be a whole number from 1 to 1024
counterd --help shows every option."
            )
        );
    }

    #[test]
    fn mistakes_in_the_file_alone_are_a_bad_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("c.toml");
        fs::write(&file, "retain_ms = \n").expect("written");
        let args = ["--socket", "/s", "--config", file.to_str().expect("UTF-8")];
        assert!(
            run(&args, &[])
                .expect_err("bad")
                .starts_with("78 1 mistake")
        );
        let args = ["--socket", "/s", "--config", "/nowhere/at/all"];
        let text = run(&args, &[]).expect_err("absent");
        assert!(
            text.starts_with("78 ") && text.contains("(flag --config)"),
            "{text}"
        );
    }

    #[test]
    fn long_socket_paths_and_repeated_flags() {
        let long = "/".repeat(104);
        let text = run(&["--socket", &long, "--socket=/b"], &[]).expect_err("bad");
        assert!(text.contains("must be at most 103 bytes"), "{text}");
        assert!(
            text.contains("flag --socket: is given more than once"),
            "{text}"
        );
    }

    #[test]
    fn help_says_the_limit_that_each_value_is_held_to() {
        let text = run(&["--help"], &[]).expect_err("printed");
        let outcome = |setting: &Setting, value: &str| {
            let given = format!("--{}={value}", setting.name);
            run(&["--socket=/s", &given], &[]).err()
        };
        for setting in GROUPS.iter().flat_map(|group| group.settings) {
            let counts = ["N", "MS", "US", "BYTES"].contains(&setting.value);
            let Limit::Numbers(low, high) = setting.limit else {
                assert!(!counts, "--{} has no limit", setting.name);
                continue;
            };
            let said = format!("{}, {low} to {high}\n", setting.env());
            assert!(text.contains(&said), "{said} is not in {text}");
            let rule = format!("must be a whole number from {low} to {high}");
            for value in [low.checked_sub(1), high.checked_add(1)] {
                let refused = value.and_then(|value| outcome(setting, &value.to_string()));
                let named = refused.is_none_or(|text| text.contains(&rule));
                assert!(named, "--{} takes {value:?}", setting.name);
            }
            // Two of the settings also bound each other.
            for value in [low, high] {
                let refused = outcome(setting, &value.to_string());
                let taken = refused.is_none_or(|text| text.contains("max-message-bytes"));
                assert!(taken, "--{} refuses {value}", setting.name);
            }
        }
        let most = limits::SOCKET_PATH_BYTES;
        assert!(text.contains(&format!("HOTPATHD_SOCKET, at most {most} bytes\n")));
    }

    #[test]
    fn help_tells_where_history_begins_and_every_exit_code() {
        let text = run(&["--help"], &[]).expect_err("printed");
        for part in [
            "a load leaves none, whatever\nis set here",
            "the head at the first answer",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let (_, codes) = text.split_once("Exit codes:").expect("exit codes");
        for code in ["0", "64", "69", "70", "73", "74", "78", "130", "143"] {
            let mut words = codes.split([' ', '\n']);
            assert!(words.any(|word| word == code), "{code} is not in {codes}");
        }
    }

    #[test]
    fn help_names_every_setting_and_wins_over_mistakes() {
        let text = run(&["--help", "--bogus"], &[]).expect_err("printed");
        for setting in GROUPS.iter().flat_map(|group| group.settings) {
            assert!(text.contains(&format!("--{} ", setting.name)));
            assert_eq!(text.contains(&setting.env()), setting.has_env());
        }
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    }

    #[test]
    fn a_models_choices_are_settings_too() {
        const CHOICES: [Choice; 1] = [Choice {
            name: "counting",
            values: "fast|slow",
            help: "How to count",
        }];
        let asked = |args: &[&str]| {
            let args = ["--socket=/s"].iter().chain(args).map(OsString::from);
            read_with(PROGRAM, &CHOICES, args, [])
        };
        let chosen = |args: &[&str]| match asked(args) {
            Ok(Asked::Run(config)) => config.chosen,
            other => panic!("{other:?}"),
        };
        assert_eq!(chosen(&[]), ["fast"]);
        assert_eq!(chosen(&["--counting", "slow"]), ["slow"]);
        let refused = asked(&["--counting=never"]).expect_err("bad").to_string();
        let rule = "flag --counting: \"never\" must be fast or slow";
        assert!(refused.contains(rule), "{refused}");
        let text = help_with(PROGRAM, &CHOICES);
        let (_, model) = text.split_once("\nModel:\n").expect("a heading");
        assert!(model.starts_with("  --counting fast|slow"), "{model}");
        assert!(model.contains("HOTPATHD_COUNTING"), "{model}");
    }

    #[test]
    fn the_program_goes_by_its_own_name() {
        let text = run(&["--help"], &[]).expect_err("printed");
        let top = "Counts.\n\nUsage: counterd --socket PATH [OPTIONS]\n";
        assert!(text.starts_with(top), "{text}");
        assert!(text.contains("\n  counterd --socket /tmp/counterd.sock"));
        assert!(!text.contains("hotpathd"), "only variables: {text}");
        let version = run(&["--version"], &[]).expect_err("printed");
        assert_eq!(version, "counterd 7.1\n");
        let bare = Program::new("bare", "1", "");
        assert!(help(bare).starts_with("Usage: bare") && !help(bare).contains("Commands:"));
        let text = help(bare.with_commands("  look    Looks\n"));
        assert!(text.contains("\nCommands:\n  look    Looks\n\n"), "{text}");
    }
}
