//! A stand-in for IGC-Sante: a root, the authority for organisations below it, their certificates and their revocation
//! lists, made on demand and kept in memory.
//!
//! Names are shaped like IGC-Sante's; keys are new each time, so nothing that is made here is trusted by anything but
//! the test that made it. Two stand-ins of the same names are each other's impostor.

mod authority;
mod clock;
pub mod crl;
pub mod der;
mod leaf;

use anyhow::Result;

pub use authority::{Authority, PemDer};
pub use leaf::Leaf;

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// After whom the authorities are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// IGC-Sante's production.
    Production,
    /// IGC-Sante's test.
    Test,
    /// Somebody else.
    Foreign,
}

impl Names {
    const fn root(self) -> &'static str {
        match self {
            Self::Production => "AC RACINE IGC-SANTE ELEMENTAIRE",
            Self::Test => "TEST AC RACINE IGC-SANTE ELEMENTAIRE",
            Self::Foreign => "FOREIGN ROOT CA",
        }
    }

    const fn organisations(self) -> &'static str {
        match self {
            Self::Production => "AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
            Self::Test => "TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
            Self::Foreign => "FOREIGN CA",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Production => "IGC-SANTE",
            Self::Test => "IGC-SANTE TEST",
            Self::Foreign => "OTHER",
        }
    }
}

/// A whole stand-in.
pub struct Igc {
    now: u64,
    root: Authority,
    organisations: Authority,
}

impl Igc {
    /// Makes one, as of now.
    ///
    /// # Errors
    /// When the library can't make keys or certificates.
    pub fn new(names: Names) -> Result<Self> {
        Self::at(names, clock::now())
    }

    /// Makes one as of `now`, Unix seconds: the authorities have been valid for a year and stay so for nine more.
    ///
    /// # Errors
    /// When the library can't make keys or certificates.
    pub fn at(names: Names, now: u64) -> Result<Self> {
        let root = Authority::root(names.root(), names.unit(), now)?;
        let organisations = root.below(names.organisations(), names.unit(), now)?;
        Ok(Self { now, root, organisations })
    }

    /// The moment as of which it was made, Unix seconds.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> &Authority {
        &self.root
    }

    /// The authority that signs the certificates of organisations.
    #[must_use]
    pub const fn organisations(&self) -> &Authority {
        &self.organisations
    }

    /// ORG AUTH_CLI: a structure's certificate for TLS clients, valid from yesterday on for three years.
    ///
    /// # Errors
    /// More than two OUs, or the library's.
    pub fn organisation(&self, ous: &[&str], o: &str, cn: &str) -> Result<Leaf> {
        self.valid(ous, o, cn, self.now - DAY, self.now + 3 * 365 * DAY)
    }

    /// The same, expired since yesterday.
    ///
    /// # Errors
    /// As [`Igc::organisation`].
    pub fn expired(&self, ous: &[&str], o: &str, cn: &str) -> Result<Leaf> {
        self.valid(ous, o, cn, self.now - 300 * DAY, self.now - DAY)
    }

    /// The same, valid from tomorrow on.
    ///
    /// # Errors
    /// As [`Igc::organisation`].
    pub fn not_yet_valid(&self, ous: &[&str], o: &str, cn: &str) -> Result<Leaf> {
        self.valid(ous, o, cn, self.now + DAY, self.now + 300 * DAY)
    }

    /// The same between two moments, Unix seconds.
    ///
    /// # Errors
    /// As [`Igc::organisation`].
    pub fn valid(&self, ous: &[&str], o: &str, cn: &str, from: u64, until: u64) -> Result<Leaf> {
        leaf::organisation(&self.organisations, (ous, o, cn), (from, until))
    }

    /// A structure's certificate that says where the list is found on which it would stand.
    ///
    /// # Errors
    /// The library's.
    pub fn listed_at(&self, address: &str) -> Result<Leaf> {
        leaf::listed_at(&self.organisations, address, (self.now - DAY, self.now + 3 * 365 * DAY))
    }

    /// Another certificate with the key of this one.
    ///
    /// # Errors
    /// The library's.
    pub fn renewed(&self, leaf: &Leaf, ou: &str, cn: &str) -> Result<Leaf> {
        leaf::renewed(&self.organisations, leaf, (ou, cn), (self.now - DAY, self.now + 3 * 365 * DAY))
    }

    /// SERV: a server's certificate, for these host names or IP addresses.
    ///
    /// # Errors
    /// The library's.
    pub fn server(&self, names: &[&str]) -> Result<Leaf> {
        leaf::server(&self.organisations, names, (self.now - DAY, self.now + 3 * 365 * DAY))
    }

    /// PS: a person's certificate, which has no OU.
    ///
    /// # Errors
    /// The library's.
    pub fn professional(&self) -> Result<Leaf> {
        leaf::professional(&self.organisations, (self.now - DAY, self.now + 3 * 365 * DAY))
    }

    /// The authorities in PEM, the root last: what a mail server is told to trust.
    #[must_use]
    pub fn bundle(&self) -> String {
        [self.organisations.pem(), self.root.pem()].concat()
    }

    /// The authorities with a list of each in PEM, both from yesterday until in a month: for a mail server that looks
    /// at lists.
    ///
    /// # Errors
    /// The library's.
    pub fn bundle_with_crls(&self, number: u64) -> Result<String> {
        let (this, next) = (self.now - DAY, self.now + 30 * DAY);
        let lists = [self.organisations.crl(number, this, next)?, self.root.crl(number, this, next)?];
        Ok([self.bundle(), lists.map(|list| list.pem).concat()].concat())
    }
}
