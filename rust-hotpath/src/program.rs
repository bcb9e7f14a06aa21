//! The program that the engine runs in. It is the adopter's, so it goes by the adopter's name.

/// What a program calls itself: in `--help` and `--version`, before an error on standard error, in the log, and towards
/// the Go service.
///
/// Metrics (`hotpathd_…`) and variables (`HOTPATHD_…`) are the engine's and have one name in every program, so that
/// dashboards, alerts and the Go service's supervisor need not know which one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) about: &'static str,
}

impl Program {
    /// A program of this name and version, and in a sentence what it is for; an empty one is left out. [`program!`]
    /// takes all three from `Cargo.toml`.
    ///
    /// [`program!`]: crate::program!
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str, about: &'static str) -> Self {
        Self {
            name,
            version,
            about,
        }
    }
}

/// The [`Program`](crate::app::Program) that this is written in: the name of the binary, and the version and description
/// of its crate, as `Cargo.toml` has them.
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
