//! The people of the stand-in, and the mailboxes that suit them.
//!
//! Owns made-up identities shaped like Pro Santé Connect's sandbox ones, and a directory to test against. Every value
//! is invented: none may ever be that of a real professional, structure or mailbox.

/// Domain of every suggested mailbox; `.test` never resolves (RFC 6761 section 6.2).
pub const MAILBOX_DOMAIN: &str = "bal.example.test";

/// A person, or a vendor's test account, who can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// National identifier exactly as `SubjectNameID` and `preferred_username` carry it.
    pub id_nat: String,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Profession code and its nomenclature, as `SubjectRole` shows them; empty for a vendor account.
    pub role: String,
    /// Name of the place of exercise (`SubjectOrganization`).
    pub organization: String,
    /// Who keeps the identifier (`origine` of `otherIds`): `RPPS`, `EDIT` for vendors…
    pub origin: String,
}

impl Identity {
    /// An identity of the caller's own, with neutral names.
    #[must_use]
    pub fn of(id_nat: &str) -> Self {
        Self::named(id_nat, ["Camille", "ESSAI", "", "CABINET D'ESSAI", "RPPS"])
    }

    fn named(id_nat: &str, [given_name, family_name, role, organization, origin]: [&str; 5]) -> Self {
        Self {
            id_nat: id_nat.to_owned(),
            given_name: given_name.to_owned(),
            family_name: family_name.to_owned(),
            role: role.to_owned(),
            organization: organization.to_owned(),
            origin: origin.to_owned(),
        }
    }
}

/// `8` and an RPPS number: owns `docteur.un@`, shares `secretariat@`.
#[must_use]
pub fn doctor_one() -> Identity {
    Identity::named("899700000011", ["Alix", "UN", "10^1.2.250.1.213.1.1.5.5", "CABINET UN", "RPPS"])
}

/// `8` and an RPPS number: owns `docteur.deux@`, under an older ADELI number too.
#[must_use]
pub fn doctor_two() -> Identity {
    Identity::named("899700000022", ["Sacha", "DEUX", "10^1.2.250.1.213.1.1.5.5", "CABINET DEUX", "RPPS"])
}

/// `5`, a SIRET number, a slash and the structure's own number for its staff: shares `secretariat@`.
#[must_use]
pub fn secretary() -> Identity {
    Identity::named("500000000000017/CPAT00001", ["Noa", "SECRETARIAT", "", "CABINET UN", "CPAT"])
}

/// A software vendor's test account. It has no mailbox.
#[must_use]
pub fn vendor() -> Identity {
    Identity::named("ANS20260101000001", ["Charlie", "EDITEUR", "", "EDITEUR D'ESSAI", "EDIT"])
}

/// Everybody whom the stand-in can log in, in the order of its page.
///
/// | # | identity | mailboxes |
/// |---|---|---|
/// | 1 | `899700000011` | `docteur.un@bal.example.test` (PER, alias `dr.un@`), `secretariat@bal.example.test` (ORG) |
/// | 2 | `899700000022` (was `0759900022`) | `docteur.deux@bal.example.test` (PER) |
/// | 3 | `500000000000017/CPAT00001` | `secretariat@bal.example.test` (ORG) |
/// | 4 | `ANS20260101000001` | none |
/// | - | nobody | `automate@bal.example.test` (APP) |
#[must_use]
pub fn identities() -> Vec<Identity> {
    vec![doctor_one(), doctor_two(), secretary(), vendor()]
}

/// The directory that belongs to [`identities`]: CSV, header `address,kind,persons,aliases`; persons separated by `|`,
/// synonyms of one person joined by `=`, aliases separated by `|`.
#[must_use]
pub fn directory_csv() -> String {
    let (one, two, secretary) = (doctor_one().id_nat, doctor_two().id_nat, secretary().id_nat);
    format!(
        "address,kind,persons,aliases\n\
         docteur.un@{MAILBOX_DOMAIN},PER,{one},dr.un@{MAILBOX_DOMAIN}\n\
         docteur.deux@{MAILBOX_DOMAIN},PER,{two}=0759900022,\n\
         secretariat@{MAILBOX_DOMAIN},ORG,{one}|{secretary},\n\
         automate@{MAILBOX_DOMAIN},APP,,\n"
    )
}
