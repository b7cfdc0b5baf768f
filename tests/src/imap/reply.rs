//! What a server answered, in one shape for every client, and the strict reading of it.
//!
//! Pure. Must refuse what RFC 9051 does not allow: a client that forgives would hide a broken server.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// The server closed the connection instead of answering.
    Closed,
}

/// The answer to one attempt, as much of it as the client shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub status: Status,
    /// The response code without its brackets: `AUTHENTICATIONFAILED`, `CAPABILITY ...`.
    pub code: Option<String>,
    /// The text for people.
    pub text: String,
    /// The error challenge that came first, decoded; empty where none came.
    pub challenge: String,
    /// From the first byte sent to the last received.
    pub elapsed: Duration,
}

impl Reply {
    /// `NO [CODE] text`: what a test pins. Capabilities are left out, they are not an answer; so are the host and the
    /// time that Dovecot adds to a failure of its own, `[host:2026-01-31 12:00:00]`.
    pub fn line(&self) -> String {
        let status = match self.status {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bad => "BAD",
            Status::Closed => "closed",
        };
        match &self.code {
            Some(code) if !code.starts_with("CAPABILITY") => format!("{status} [{code}] {}", self.undated()),
            Some(_) | None => format!("{status} {}", self.undated()),
        }
    }

    fn undated(&self) -> &str {
        let stamp =
            |stamp: &str| stamp.split_once(':').is_some_and(|(_, time)| time.len() == "2026-01-31 12:00:00".len());
        match self.text.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
            Some((text, inside)) if stamp(inside) => text,
            Some(_) | None => &self.text,
        }
    }

    /// Whether the mailbox is open.
    pub fn accepted(&self) -> bool {
        self.status == Status::Ok
    }

    pub(super) fn closed(challenge: String, elapsed: Duration) -> Self {
        Self { status: Status::Closed, code: None, text: String::new(), challenge, elapsed }
    }

    /// Reads what follows the tag and its space.
    pub(crate) fn parse(rest: &str, challenge: String, elapsed: Duration) -> Result<Self> {
        let Some((status, rest)) = rest.split_once(' ') else { bail!("no text after the status: {rest:?}") };
        let status = match status {
            "OK" => Status::Ok,
            "NO" => Status::No,
            "BAD" => Status::Bad,
            other => bail!("not a status: {other:?}"),
        };
        let (code, text) = match rest.strip_prefix('[') {
            None => (None, rest),
            Some(rest) => {
                let Some((code, text)) = rest.split_once("] ") else { bail!("no end of the code: {rest:?}") };
                ensure!(code.starts_with(|c: char| c.is_ascii_uppercase()), "not a code: {code:?}");
                (Some(code.to_owned()), text)
            }
        };
        ensure!(!text.is_empty(), "a status without a text");
        Ok(Self { status, code, text: text.to_owned(), challenge, elapsed })
    }
}

/// Reads a continuation request during AUTHENTICATE: `+`, one space, base64 or nothing.
pub(super) fn continuation(line: &str) -> Result<String> {
    let Some(rest) = line.strip_prefix("+ ") else { bail!("not a continuation: {line:?}") };
    Ok(String::from_utf8(STANDARD.decode(rest)?)?)
}

/// The length of a literal that the line announces at its end: `{3}`.
pub(super) fn literal(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Reply> {
        Reply::parse(rest, String::new(), Duration::ZERO)
    }

    #[test]
    fn a_status_with_a_code_is_read_in_three_parts() -> Result<()> {
        let reply = parse("NO [AUTHENTICATIONFAILED] Authentication failed.")?;
        assert_eq!(
            (reply.status, reply.line().as_str()),
            (Status::No, "NO [AUTHENTICATIONFAILED] Authentication failed.")
        );
        Ok(())
    }

    #[test]
    fn the_time_of_a_failure_is_no_part_of_its_words() -> Result<()> {
        assert_eq!(parse("NO [UNAVAILABLE] Failure. [host:2026-01-31 12:00:00]")?.line(), "NO [UNAVAILABLE] Failure.");
        assert_eq!(parse("NO Failure. [host]")?.line(), "NO Failure. [host]");
        Ok(())
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_an_error() {
        for rest in ["NO", "NO ", "MAYBE text", "NO [CODE text", "NO [CODE]", "NO [code] text", "no text"] {
            assert!(parse(rest).is_err(), "{rest:?}");
        }
        for line in ["+", "+e30=", "+ e30", "+  e30="] {
            assert!(continuation(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_challenge_is_decoded() -> Result<()> {
        assert_eq!(continuation("+ eyJhIjoxfQ==")?, "{\"a\":1}");
        assert_eq!(continuation("+ ")?, "");
        Ok(())
    }
}
