//! What an SMTP server answered, and the strict reading of it.
//!
//! Pure. Must refuse what RFC 5321 does not allow: a client that forgives would hide a broken server.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits; 0 where the server closed the connection instead of answering.
    pub code: u16,
    /// The text of each line.
    pub text: Vec<String>,
    /// The error challenge of an AUTH, decoded; empty where none came.
    pub challenge: String,
}

impl Reply {
    /// `535 5.7.8 text`: what a test pins. Lines after the first are joined by ` | `.
    pub fn line(&self) -> String {
        if self.code == 0 { "closed".to_owned() } else { format!("{} {}", self.code, self.text.join(" | ")) }
    }

    /// Whether the server did, or will do, what it was asked.
    pub fn accepted(&self) -> bool {
        (200..400).contains(&self.code)
    }

    pub(super) fn closed() -> Self {
        Self { code: 0, text: Vec::new(), challenge: String::new() }
    }

    /// Adds one line of the reply; whether it was the last (RFC 5321 section 4.2).
    pub(super) fn take(&mut self, line: &str) -> Result<bool> {
        let (code, rest) = line.split_at_checked(3).with_context(|| format!("not a reply: {line:?}"))?;
        ensure!(code.bytes().all(|byte| byte.is_ascii_digit()), "not a reply: {line:?}");
        let code: u16 = code.parse()?;
        ensure!((200..600).contains(&code), "no such code: {line:?}");
        ensure!(self.text.is_empty() || self.code == code, "another code in one reply: {line:?}");
        self.code = code;
        let (last, text) = match rest.split_at_checked(1) {
            Some((" ", text)) => (true, text),
            Some(("-", text)) => (false, text),
            Some(_) | None => bail!("neither blank nor dash after the code: {line:?}"),
        };
        self.text.push(text.to_owned());
        Ok(last)
    }

    /// The challenge of a 334: base64 or nothing (RFC 4954 section 4).
    pub(super) fn asked(&self) -> Result<String> {
        let [text] = self.text.as_slice() else { bail!("a challenge of several lines: {:?}", self.text) };
        Ok(String::from_utf8(STANDARD.decode(text)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_several_lines_is_read_whole() -> Result<()> {
        let mut reply = Reply::closed();
        assert!(!reply.take("250-mx.example.test")?);
        assert!(reply.take("250 SIZE")?);
        assert_eq!((reply.line().as_str(), reply.accepted()), ("250 mx.example.test | SIZE", true));
        Ok(())
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_an_error() {
        for line in ["", "25", "250", "25x a", "250_a", "150 a", "600 a"] {
            assert!(Reply::closed().take(line).is_err(), "{line:?}");
        }
        let mut reply = Reply::closed();
        assert!(reply.take("250-a").is_ok());
        assert!(reply.take("550 b").is_err());
    }
}
