//! Certificates in a terminal: short enough for 80 columns, or whole.

use std::io::Write;

use super::super::mailbox::moment;
use super::super::table;
use crate::proto::CertificateEntry;

/// Hexadecimal digits of a fingerprint that a table shows; they name the certificate well enough.
const DIGITS: usize = 16;

/// Columns that are not broken: fingerprint, structure, date.
const KEPT: [usize; 3] = [0, 1, 3];

/// One line each.
pub(super) fn table(certificates: &[CertificateEntry], output: &mut impl Write) -> anyhow::Result<()> {
    let rows = certificates.iter().map(|certificate| {
        [
            short(&certificate.fingerprint),
            certificate.structure.clone(),
            certificate.common_name.clone(),
            format!("{}\n{}", date(certificate.not_after), left(certificate.days_left)),
            state(&certificate.state),
        ]
    });
    table::print_keeping(output, &KEPT, ["certificate", "structure", "name", "expires", "state"], rows)?;
    Ok(())
}

/// Everything about each.
pub(super) fn whole(certificates: &[CertificateEntry], output: &mut impl Write) -> anyhow::Result<()> {
    for (at, certificate) in certificates.iter().enumerate() {
        if at > 0 {
            writeln!(output)?;
        }
        table::print(output, ["certificate", ""], facts(certificate))?;
    }
    Ok(())
}

fn facts(certificate: &CertificateEntry) -> Vec<[String; 2]> {
    let row = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
    let chain = if certificate.chain.is_empty() { "none vouches for it" } else { &certificate.chain };
    let mut rows = vec![
        row("sha256", &certificate.fingerprint),
        row("structure", &certificate.structure),
        row("name", &certificate.common_name),
        row("organization", &certificate.organization),
        row("subject", &certificate.subject),
        row("issuer", &certificate.issuer),
        row("serial", &certificate.serial),
        row("key sha256", &certificate.public_key),
        row("chain", chain),
        row("valid from", &moment(certificate.not_before)),
        row("valid to", &format!("{}, {}", moment(certificate.not_after), left(certificate.days_left))),
        row("state", &state(&certificate.state)),
        row("enrolled", &moment(certificate.enrolled_at)),
    ];
    if certificate.withdrawn_at != 0 {
        rows.push(row("withdrawn", &moment(certificate.withdrawn_at)));
    }
    rows.push(row("opens", &mailboxes(certificate, "\n")));
    rows
}

/// What became of one, in plain words.
pub(super) fn enrolled(certificate: &CertificateEntry, dry_run: bool, output: &mut impl Write) -> std::io::Result<()> {
    let CertificateEntry { common_name, organization, structure, fingerprint, chain, .. } = certificate;
    let done = if dry_run { "could be enrolled" } else { "is enrolled" };
    writeln!(output, "{common_name} of structure {structure} ({organization}) {done}: {fingerprint}")?;
    let (to, left) = (date(certificate.not_after), left(certificate.days_left));
    writeln!(output, "  vouched for by chain {chain}, expires {to} ({left})")?;
    writeln!(output, "  opens {}", mailboxes(certificate, ", "))
}

/// The mailboxes that it opens, or could.
fn mailboxes(certificate: &CertificateEntry, separator: &str) -> String {
    let shown = certificate.mailboxes.len() as u64;
    let hidden = certificate.mailbox_count.saturating_sub(shown);
    match (shown, hidden) {
        (0, _) => "no mailbox".to_owned(),
        (_, 0) => certificate.mailboxes.join(separator),
        (_, hidden) => format!("{}{separator}and {hidden} more", certificate.mailboxes.join(separator)),
    }
}

/// What is good stays small; what is not is seen at once.
fn state(state: &str) -> String {
    if state == "good" { state.to_owned() } else { state.to_uppercase() }
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(DIGITS).collect()
}

/// The day in UTC.
fn date(at: u64) -> String {
    moment(at).split('T').next().unwrap_or_default().to_owned()
}

fn left(days: i64) -> String {
    match days {
        0 => "in hours".to_owned(),
        1 => "in 1 day".to_owned(),
        2.. => format!("in {days} days"),
        -1 => "hours ago".to_owned(),
        -2 => "1 day ago".to_owned(),
        _ => format!("{} days ago", -days - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> CertificateEntry {
        CertificateEntry {
            fingerprint: "0123456789abcdef".repeat(4),
            structure: "318751275100020".to_owned(),
            common_name: "sas-agregateur-de-production.example.test".to_owned(),
            not_after: 1_800_000_000,
            days_left: 30,
            state: "chain unknown".to_owned(),
            mailboxes: vec!["a@x.test".to_owned()],
            mailbox_count: 2,
            ..CertificateEntry::default()
        }
    }

    #[test]
    fn a_list_fits_a_terminal_of_80_columns() {
        let mut output = Vec::new();
        let row = |certificate: &CertificateEntry| {
            [
                short(&certificate.fingerprint),
                certificate.structure.clone(),
                certificate.common_name.clone(),
                format!("{}\n{}", date(certificate.not_after), left(certificate.days_left)),
                state(&certificate.state),
            ]
        };
        let rendered = table::render(
            Some(80),
            &KEPT,
            ["certificate", "structure", "name", "expires", "state"],
            [row(&certificate())],
        );
        assert!(rendered.lines().all(|line| line.chars().count() <= 80), "{rendered}");
        for part in ["0123456789abcdef", "318751275100020", "2027-01-15", "in 30 days", "UNKNOWN"] {
            assert!(rendered.contains(part), "{part} in {rendered}");
        }
        table(&[certificate()], &mut output).unwrap();
        assert!(String::from_utf8(output).unwrap().contains("CHAIN UNKNOWN"));
    }

    #[test]
    fn what_a_certificate_opens_is_said_and_the_rest_counted() {
        let mut output = Vec::new();
        enrolled(&certificate(), false, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert!(text.contains("is enrolled") && text.contains("  opens a@x.test, and 1 more\n"), "{text}");
        let nothing = CertificateEntry { mailboxes: vec![], mailbox_count: 0, ..certificate() };
        assert_eq!(mailboxes(&nothing, ", "), "no mailbox");
    }

    #[test]
    fn the_end_is_said_in_days() {
        for (days, words) in [
            (30, "in 30 days"),
            (1, "in 1 day"),
            (0, "in hours"),
            (-1, "hours ago"),
            (-2, "1 day ago"),
            (-3, "2 days ago"),
        ] {
            assert_eq!(left(days), words);
        }
    }
}
