//! What the lines of the trail are made of. What is not in their structs can't get into the file.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::clock::UnixSeconds;
use crate::evidence::directory::MailboxAddress;
use crate::gate::Protocol;

/// Longest text that somebody else chose, in a line: handles, session and key identifiers are shorter.
const MAX_TEXT: usize = 256;

/// A moment, written as RFC 3339 in UTC; the number itself where no calendar reaches.
pub(super) struct Moment(pub(super) UnixSeconds);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_second(seconds) {
            Ok(time) => serializer.collect_str(&time),
            Err(_) => serializer.collect_str(&self.0.0),
        }
    }
}

/// What is written as it is shown.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An address, if it is one: a client may write anything into a user name, even its token.
pub(super) fn mailbox(text: &str) -> Option<Text<MailboxAddress>> {
    MailboxAddress::parse(text).ok().map(Text)
}

/// The text, cut to what a line may hold of it.
pub(super) fn bounded(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

pub(super) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "imap",
        Protocol::Smtp => "smtp",
        Protocol::Other => "other",
    }
}
