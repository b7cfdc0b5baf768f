//! The directory's import: a CSV file (RFC 4180) becomes mailboxes, entirely or not at all.
//!
//! Every bad line is told with its number and its column. What a login could not use (an address that IMAP does not
//! carry, more mailboxes than one answer holds) is refused here, where somebody reads it.

mod cross;
mod field;

use std::fmt;

use csv::ByteRecord;

use super::directory::{Mailbox, MailboxAddress};

/// The columns, in their order. The last two are for certificates and may be left out, with all lines alike.
pub const HEADER: [&str; 6] = ["address", "kind", "persons", "aliases", "structures", "certificates"];
/// Columns that no file may leave out.
const REQUIRED: usize = 4;
/// Problems kept with their place; the rest is counted. A file with more is not mended line by line.
pub const MAX_PROBLEMS: usize = 10_000;
/// Remarks kept.
const MAX_REMARKS: usize = 1_000;
/// Longest line, bytes: 100 persons with a synonym each take 6 KiB.
const MAX_LINE: usize = 64 * 1024;
/// Most mailboxes of one person: what one introspection answer carries.
pub const MAX_MAILBOXES_OF_A_PERSON: usize = 64;

/// A file that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its mailboxes, in the order of the file.
    pub mailboxes: Vec<Mailbox>,
    /// What does not stop the import, but should be looked at.
    pub remarks: Vec<String>,
}

/// A place of the file and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BadLine {
    /// Line, from 1; the header is line 1.
    pub line: u64,
    /// Column, from 1; 0 where the line as a whole is wrong.
    pub column: u32,
    /// What was expected. Never repeats an idNat.
    pub expected: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        let name = usize::try_from(self.column).ok().and_then(|column| HEADER.get(column.wrapping_sub(1)));
        if let Some(name) = name {
            write!(f, ", column {} ({name})", self.column)?;
        }
        write!(f, ": {}", self.expected)
    }
}

/// Why nothing was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFile {
    /// The first [`MAX_PROBLEMS`] problems, in the order of the file.
    pub problems: Vec<BadLine>,
    /// How many there are.
    pub total: usize,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.first() {
            Some(first) if self.total > 1 => write!(f, "{} problems, the first: {first}", self.total),
            Some(first) => first.fmt(f),
            None => f.write_str("nothing to import"),
        }
    }
}

impl std::error::Error for BadFile {}

/// What a file is held against beside itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Addresses that must be nobody's mailbox: those of the live probe.
    pub reserved: Vec<MailboxAddress>,
    /// Domains in which some issuer's tokens may open mailboxes. Empty: not looked at.
    pub domains: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// Every problem found; nothing of the file is to be used.
pub fn parse(file: &[u8], surroundings: &Surroundings) -> Result<Import, BadFile> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut notes = Notes::default();
    let lines = read(file, &mut notes);
    cross::check(&lines, surroundings, &mut notes);
    if lines.is_empty() && notes.is_clean() {
        notes.bad(1, 0, "expected at least one mailbox: an import replaces the whole directory");
    }
    let remarks = notes.finish()?;
    Ok(Import { mailboxes: lines.into_iter().map(|line| line.mailbox).collect(), remarks })
}

/// What is found on the way through a file.
#[derive(Default)]
pub(super) struct Notes {
    problems: Vec<BadLine>,
    total: usize,
    remarks: Vec<String>,
}

impl Notes {
    pub(super) fn bad(&mut self, line: u64, column: u32, expected: impl Into<String>) {
        self.total += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(BadLine { line, column, expected: expected.into() });
        }
    }

    pub(super) fn remark(&mut self, line: u64, text: &str) {
        match self.remarks.len() {
            kept if kept < MAX_REMARKS => self.remarks.push(format!("line {line}: {text}")),
            MAX_REMARKS => self.remarks.push("and more remarks of this kind".to_owned()),
            _ => {}
        }
    }

    /// No problem so far.
    pub(super) const fn is_clean(&self) -> bool {
        self.total == 0
    }

    /// The remarks on a file that holds, else every problem in the order of the file.
    pub(super) fn finish(mut self) -> Result<Vec<String>, BadFile> {
        if self.is_clean() {
            return Ok(self.remarks);
        }
        self.problems.sort();
        Err(BadFile { problems: self.problems, total: self.total })
    }
}

/// A mailbox and where it stands.
struct Line {
    number: u64,
    mailbox: Mailbox,
}

fn read(file: &[u8], notes: &mut Notes) -> Vec<Line> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut record = ByteRecord::new();
    let mut lines = Vec::new();
    let mut columns = None;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                notes.bad(reader.position().line(), 0, format!("expected CSV: {error}"));
                break;
            }
        }
        let number = record.position().map_or(0, |start| line_of(start, file));
        let Some(columns) = columns else {
            if !header(&record, number, notes) {
                // With other columns every line would be wrong in the same way.
                return lines;
            }
            columns = Some(record.len());
            continue;
        };
        if let Some(mailbox) = line(&record, columns, number, notes) {
            lines.push(Line { number, mailbox });
        }
    }
    if columns.is_none() {
        notes.bad(1, 0, format!("expected the header {}, found an empty file", wanted()));
    }
    lines
}

/// The line on which a record stands. The reader takes it to start right behind the last one: within a CRLF, or at
/// lines without anything.
fn line_of(start: &csv::Position, file: &[u8]) -> u64 {
    let from = usize::try_from(start.byte()).unwrap_or(usize::MAX);
    let between = file.get(from..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    start.line() + between.filter(|byte| **byte == b'\n').count() as u64
}

fn header(record: &ByteRecord, number: u64, notes: &mut Notes) -> bool {
    let known = record.iter().eq(HEADER.iter().take(record.len()).map(|name| name.as_bytes()));
    if known && (REQUIRED..=HEADER.len()).contains(&record.len()) {
        return true;
    }
    let wanted = wanted();
    let whole = record.as_slice();
    let hint = if whole.contains(&b';') || whole.contains(&b'\t') { "; columns are separated by commas" } else { "" };
    notes.bad(number, 0, format!("expected the header {wanted}{hint}"));
    false
}

/// The header as it is asked for.
fn wanted() -> String {
    let (required, optional) = HEADER.split_at(REQUIRED);
    format!("{} (and for certificates: {})", required.join(","), optional.join(","))
}

fn line(record: &ByteRecord, columns: usize, number: u64, notes: &mut Notes) -> Option<Mailbox> {
    if record.as_slice().len() > MAX_LINE {
        notes.bad(number, 0, format!("expected at most {MAX_LINE} bytes in a line; is a quote left open?"));
        return None;
    }
    if record.len() != columns {
        notes.bad(number, 0, format!("expected {columns} columns, found {}", record.len()));
        return None;
    }
    let mut texts = [""; HEADER.len()];
    for ((text, field), column) in texts.iter_mut().zip(record).zip(1..) {
        match std::str::from_utf8(field) {
            Ok(read) => *text = read,
            Err(_) => {
                notes.bad(number, column, "expected UTF-8");
                return None;
            }
        }
    }
    field::mailbox(texts, number, notes)
}

#[cfg(test)]
mod tests;
