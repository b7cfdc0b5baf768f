//! How an attempt ends, as the interface says it: by what is run, or by an exit status.

use std::process::ExitCode;

/// The end of an attempt that runs nothing. The text goes to the log; it holds nothing that the client sent as a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The password is not good: another database may be asked. Told where there is something to tell.
    Denied(Option<String>),
    /// Nobody can say: never taken for a wrong password.
    Unavailable(String),
    /// The caller does not keep to the interface.
    Misused(String),
}

impl Refusal {
    /// The exit status: 1 "not acceptable", 2 "misused", 111 "temporary problem".
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Denied(_) => 1,
            Self::Misused(_) => 2,
            Self::Unavailable(_) => 111,
        }
    }

    /// The line for the log.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Denied(text) => text.as_deref(),
            Self::Unavailable(text) | Self::Misused(text) => Some(text),
        }
    }
}

impl From<&Refusal> for ExitCode {
    fn from(refusal: &Refusal) -> Self {
        refusal.status().into()
    }
}
