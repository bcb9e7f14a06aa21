//! One error type for everything that ends a run. Its kind is the exit code that scripts see.

use std::{error, fmt};

/// Why there is no (good) result. `Display` says what to do about it; the cause, if any, follows a colon.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// What went wrong. Each kind is one exit code, from sysexits where one fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong: 64.
    Usage,
    /// An input file (scenario, capture, ids, report) is wrong or missing: 65.
    Input,
    /// A target, or a program to start, can't be reached or failed: 69.
    Target,
    /// A defect of this program: 70.
    Internal,
    /// A file can't be written: 74.
    Output,
    /// The run was carried out, but its numbers are not to be trusted: 3.
    Void,
    /// The run was carried out, and answers of two targets differed: 4.
    Mismatch,
    /// The run was carried out, and no target held the objective even at the lowest rate: 5.
    Objective,
}

impl Kind {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Void => 3,
            Self::Mismatch => 4,
            Self::Objective => 5,
            Self::Usage => 64,
            Self::Input => 65,
            Self::Target => 69,
            Self::Internal => 70,
            Self::Output => 74,
        }
    }
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a cause.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// An error with its cause.
    pub fn caused(
        kind: Kind,
        message: impl Into<String>,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
