//! What a client sends to log in, byte for byte.
//!
//! Owns the three encodings. Must never correct what a test hands it: a hostile name goes out as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Google's form, which mail clients use most.
    Xoauth2,
    /// RFC 7628.
    Oauthbearer,
    /// RFC 4616, with the site's own password.
    Plain,
    /// RFC 4422 appendix A, with the mailbox as authorization identity.
    External,
}

impl Mechanism {
    /// Its SASL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
            Self::External => "EXTERNAL",
        }
    }
}

/// One attempt to log in.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// How.
    pub mechanism: Mechanism,
    /// As whom.
    pub mailbox: &'a str,
    /// The token, or the password for PLAIN.
    pub secret: &'a str,
}

impl<'a> Credential<'a> {
    /// EXTERNAL for a mailbox: what shows who one is is the certificate of the connection.
    pub fn external(mailbox: &'a str) -> Self {
        Self { mechanism: Mechanism::External, mailbox, secret: "" }
    }

    /// The initial response and what dismisses a challenge, for a client that does its own base64.
    pub(crate) fn decoded(&self) -> (String, &'static str) {
        let dismissal = if self.mechanism == Mechanism::Oauthbearer { "\x01" } else { "" };
        (self.plain(), dismissal)
    }

    /// The initial response, base64.
    pub(crate) fn response(&self) -> String {
        STANDARD.encode(self.plain())
    }

    fn plain(&self) -> String {
        let Self { mailbox, secret, .. } = self;
        match self.mechanism {
            Mechanism::Xoauth2 => format!("user={mailbox}\x01auth=Bearer {secret}\x01\x01"),
            Mechanism::Oauthbearer => {
                // RFC 5801 section 4: these two are the separators of the header.
                let name = mailbox.replace('=', "=3D").replace(',', "=2C");
                format!("n,a={name},\x01host=localhost\x01port=993\x01auth=Bearer {secret}\x01\x01")
            }
            Mechanism::Plain => format!("\0{mailbox}\0{secret}"),
            Mechanism::External => (*mailbox).to_owned(),
        }
    }

    /// What answers an error challenge: RFC 7628 section 3.2.3 for one, an empty line for the other.
    pub(crate) fn dismissal(&self) -> &'static str {
        match self.mechanism {
            Mechanism::Oauthbearer => "AQ==",
            Mechanism::Xoauth2 | Mechanism::Plain | Mechanism::External => "",
        }
    }
}
