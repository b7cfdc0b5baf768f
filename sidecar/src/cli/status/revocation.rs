//! The revocation lists within `octroi status`: a row for each authority's, as short as what an operator must see
//! allows.

use std::io::Write;

use super::super::mailbox::moment;
use super::super::table;
use crate::proto::{CrlEntry, CrlSource, CrlStatusResponse};

/// Columns of a terminal that must be enough.
const WIDTH: usize = 80;
/// Columns of a row's first cell: what is left of them beside a moment, a number, borders and blanks.
const NAMES: usize = 43;

/// Prints a suspension where there is one, the lists, the addresses from which no list came, and what Dovecot was told.
pub(super) fn print(status: &CrlStatusResponse, output: &mut impl Write) -> anyhow::Result<()> {
    if let Some(suspension) = &status.suspended {
        let until = moment(suspension.until);
        let text = format!("REVOCATION CHECK SUSPENDED until {until} by {}: {}", suspension.by, suspension.reason);
        writeln!(output, "{}", folded(&text, WIDTH))?;
    }
    let unnamed = |source: &&CrlSource| source.authority.is_empty() && !source.error.is_empty();
    let sources = status.sources.iter().filter(unnamed).map(source);
    let rows = status.lists.iter().map(list).chain(sources);
    table::print(output, ["revocation list", "state, holds until", "entries"], rows)?;
    let dovecot = match (status.dovecot_error.as_str(), &status.enforced_by_dovecot[..]) {
        ("", []) => "Dovecot itself enforces none of these lists".to_owned(),
        ("", chains) => format!("Dovecot itself enforces the lists of {}", chains.join(", ")),
        (error, _) => format!("Dovecot was NOT TOLD of these lists: {error}"),
    };
    writeln!(output, "{}", folded(&dovecot, WIDTH))?;
    Ok(())
}

fn list(list: &CrlEntry) -> [String; 3] {
    let mut names = format!("{}\n{}", folded(&list.chain, NAMES), shortened(&list.authority));
    if !list.error.is_empty() {
        names.push_str(&format!("\nlast fetch FAILED: {}", list.error));
    }
    let state = if list.state == "current" { list.state.clone() } else { list.state.to_uppercase() };
    match list.next_update {
        0 => [names, state, String::new()],
        until => [names, format!("{state}\n{}", moment(until)), list.entries.to_string()],
    }
}

/// An address from which no list ever came: its authority is not known.
fn source(source: &CrlSource) -> [String; 3] {
    let lines = [source.chain.as_str(), &source.url, &source.error].map(|line| folded(line, NAMES));
    [lines.join("\n"), "NO LIST CAME".to_owned(), String::new()]
}

/// An authority's common name, cut where it is long; the whole subject where it has none.
fn shortened(subject: &str) -> String {
    let name = subject.split([',', '+']).find_map(|part| part.strip_prefix("CN=")).unwrap_or(subject);
    if name.chars().count() <= NAMES {
        return name.to_owned();
    }
    let head: String = name.chars().take(NAMES.saturating_sub(3)).collect();
    format!("{head}...")
}

/// Lines of at most `width` characters, broken between words where that is possible.
fn folded(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for (at, piece) in letters.chunks(width).enumerate() {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = piece,
                Some(line) if at == 0 && line.chars().count() + 1 + piece.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::CrlSuspension;

    const AUTHORITY: &str =
        "CN=AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,OU=IGC-SANTE,OU=0002 187512751,O=ASIP-SANTE,C=FR";

    fn printed(status: &CrlStatusResponse) -> String {
        let mut output = Vec::new();
        print(status, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        text
    }

    fn entry(state: &str) -> CrlEntry {
        CrlEntry {
            chain: "igc-sante-production".to_owned(),
            authority: AUTHORITY.to_owned(),
            state: state.to_owned(),
            number: "1234".to_owned(),
            this_update: 1_780_000_000,
            next_update: 1_780_086_400,
            entries: 412_345,
            fetched_at: 1_780_000_100,
            error: String::new(),
        }
    }

    #[test]
    fn a_list_is_told_in_one_row_with_its_chain_and_its_end() {
        let enforced_by_dovecot = vec!["igc-sante-production".to_owned()];
        let text = printed(&CrlStatusResponse { lists: vec![entry("current")], enforced_by_dovecot, ..<_>::default() });
        for part in [
            "igc-sante-production",
            "AC IGC-SANTE ELEMENTAIRE ORGANISATIONS ",
            " current ",
            "2026-05-29T20:26:40Z",
            "412345",
            "Dovecot itself enforces the lists of igc-sante-production",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for part in ["SUSPENDED", "FAILED", "NOT TOLD", "OU="] {
            assert!(!text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn whatever_needs_somebody_stands_in_capitals() {
        let missing = CrlEntry { next_update: 0, entries: 0, error: "status".to_owned(), ..entry("missing") };
        let source = CrlSource {
            chain: "igc-sante-test".to_owned(),
            url: format!("http://crl.example.test/{}.crl", "ac".repeat(40)),
            authority: String::new(),
            error: "the server answered 404 where a revocation list was expected".to_owned(),
        };
        let suspension = CrlSuspension {
            since: 1_780_000_000,
            until: 1_780_086_400,
            reason: "the lists can't be had since the network was moved, and the provider was told ".repeat(2),
            by: "uid 0".to_owned(),
        };
        let text = printed(&CrlStatusResponse {
            lists: vec![entry("stale"), entry("unusable"), missing],
            sources: vec![source.clone(), CrlSource { authority: AUTHORITY.to_owned(), ..source }],
            suspended: Some(suspension),
            enforced_by_dovecot: Vec::new(),
            dovecot_error: "reload-failed".to_owned(),
        });
        let suspended = "REVOCATION CHECK SUSPENDED until 2026-05-29T20:26:40Z by uid 0: the lists can't";
        for part in [
            suspended,
            "STALE",
            "UNUSABLE",
            "MISSING",
            "last fetch FAILED: status",
            "NO LIST CAME",
            "igc-sante-test",
            "Dovecot was NOT TOLD of these lists: reload-failed",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches("NO LIST CAME").count(), 1, "an address whose authority is known has its row");
    }

    #[test]
    fn a_long_name_is_cut_and_one_without_a_common_name_is_told_whole() {
        assert_eq!(shortened("O=ASIP-SANTE,C=FR"), "O=ASIP-SANTE,C=FR");
        let long = shortened(&format!("OU=X,CN={}", "\u{e9}".repeat(100)));
        assert_eq!((long.chars().count(), long.ends_with("...")), (NAMES, true));
    }

    #[test]
    fn text_is_folded_between_words_and_within_long_ones() {
        assert_eq!(folded("one two three", 7), "one two\nthree");
        assert_eq!(folded("a bcdefghij k", 4), "a\nbcde\nfghi\nj k");
        assert_eq!(folded("", 4), "");
    }
}
