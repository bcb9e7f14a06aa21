//! The program that the engine runs in. It belongs to the adopter and has the adopter's name.

/// The name, version and purpose of a program. They appear in `--help` and `--version`, before an error on standard
/// error, in the log, and in the handshake with the Go service.
///
/// Metrics (`hotpathd_…`) and variables (`HOTPATHD_…`) belong to the engine and have the same names in every program.
/// So dashboards, alerts and the Go service's supervisor need not know which program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) about: &'static str,
    pub(crate) commands: &'static str,
}

impl Program {
    /// A program of this name and version. `about` says in a sentence what it is for; an empty one is left out.
    /// [`program!`] takes all three from `Cargo.toml`.
    ///
    /// [`program!`]: crate::program!
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str, about: &'static str) -> Self {
        Self {
            name,
            version,
            about,
            commands: "",
        }
    }

    /// The same program with commands of its own. `help` has a line for each, for `--help`. The program itself looks
    /// whether its first argument is such a command, before it calls [`main`](crate::app::main).
    #[must_use]
    pub const fn with_commands(self, help: &'static str) -> Self {
        Self {
            commands: help,
            ..self
        }
    }
}

/// The [`Program`](crate::app::Program) of the crate that calls this macro: the name of the binary, and the version and
/// description of the crate, as in `Cargo.toml`.
#[macro_export]
macro_rules! program {
    () => {
        $crate::app::Program::new(
            ::core::env!("CARGO_BIN_NAME"),
            ::core::env!("CARGO_PKG_VERSION"),
            ::core::env!("CARGO_PKG_DESCRIPTION"),
        )
    };
}
