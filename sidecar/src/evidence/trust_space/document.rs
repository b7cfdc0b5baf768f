//! The white list as it is published: an XML document becomes a set of domains, entirely or not at all.
//!
//! Read as a stream of events: what is kept is the domains, whatever else an entry holds. The parser never sees a
//! document type, expands no entity but XML's own five, and is bounded in size, depth, names and time.
//!
//! The list is looked at for `Domaine` elements of its namespace, wherever they stand, and of each for its `Nom`.

use std::collections::BTreeMap;

use quick_xml::NsReader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::DomainName;
use crate::evidence::import::{BadFile, Notes};

/// Namespace of the list.
pub const NAMESPACE: &str = "https://listeblanche.mssante.fr/schema";
/// Largest document, bytes: six times today's.
pub const MAX_BYTES: usize = 32 << 20;
/// Most domains: ten times today's.
pub const MAX_DOMAINS: usize = 100_000;
/// Deepest nesting. The list needs three levels.
const MAX_DEPTH: usize = 16;
/// Most namespace declarations in force at one place: each name is looked up among them.
const MAX_DECLARATIONS: usize = 32;
/// Longest `Nom` or `DateDeGeneration`, bytes.
const MAX_TEXT: usize = 1024;
/// Longest date kept, characters.
const MAX_DATE: usize = 64;
/// How much of a name that is none is shown, characters.
const SHOWN: usize = 60;

/// A document that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `DateDeGeneration`, as it is written.
    pub generated: String,
    /// Its domains, each with the line where it stands first.
    pub domains: BTreeMap<DomainName, u64>,
    /// Entries left out because their name is none.
    pub left_out: u64,
    /// What does not stop the import, but should be looked at.
    pub remarks: Vec<String>,
}

/// What becomes of an entry whose name is no domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Invalid {
    /// The document is refused.
    #[default]
    Refuse,
    /// The entry is left out and remarked on: mail to that domain is then refused.
    LeaveOut,
}

/// Reads a document.
///
/// # Errors
/// Every problem found, up to the first that leaves no sense in what follows; nothing of the document is to be used.
pub fn parse(xml: &[u8], invalid: Invalid) -> Result<Document, BadFile> {
    let mut reading = Reading { invalid, ..Reading::default() };
    if let Err(Stop { line, expected }) = reading.read(xml) {
        reading.notes.bad(line, 0, expected);
    }
    reading.finish()
}

/// What makes the rest of the document meaningless.
struct Stop {
    line: u64,
    expected: String,
}

/// An element that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// `Domaine`.
    Entry,
    /// `Nom` of an entry.
    Name,
    /// `DateDeGeneration` of the list.
    Date,
    /// Any other.
    Other,
}

#[derive(Default)]
struct Reading {
    invalid: Invalid,
    notes: Notes,
    open: Vec<Element>,
    root_seen: bool,
    /// Text of the open `Nom` or `DateDeGeneration`.
    text: String,
    /// Line of the open `Domaine`, and its name once that is read.
    entry: (u64, Option<String>),
    date: Option<String>,
    domains: BTreeMap<DomainName, u64>,
    left_out: u64,
}

impl Reading {
    fn read(&mut self, xml: &[u8]) -> Result<(), Stop> {
        let stop = |line, expected: &str| Stop { line, expected: expected.to_owned() };
        if xml.len() > MAX_BYTES {
            return Err(stop(1, "expected at most 32 MiB: is this the list?"));
        }
        let xml = xml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(xml);
        let text = str::from_utf8(xml).map_err(|error| {
            let before = xml.get(..error.valid_up_to()).unwrap_or_default();
            stop(Lines::default().at(before, before.len()), "expected UTF-8")
        })?;
        let (mut reader, mut lines) = (NsReader::from_str(text), Lines::default());
        reader.config_mut().expand_empty_elements = true;
        reader.resolver_mut().set_max_namespace_bindings(MAX_DECLARATIONS);
        loop {
            let line = lines.at(xml, position(reader.buffer_position()));
            let event = match reader.read_event() {
                Ok(Event::Eof) => return self.end(line),
                Ok(event) => event,
                Err(error) => {
                    let line = lines.at(xml, position(reader.error_position()));
                    return Err(Stop { line, expected: format!("expected well-formed XML: {error}") });
                }
            };
            let known = match &event {
                Event::Start(start) => is_of_the_list(&reader, start),
                _ => false,
            };
            self.event(&event, known, line).map_err(|expected| Stop { line, expected })?;
        }
    }

    /// Takes one event; `known`: a start tag in the list's namespace. An error makes the rest meaningless.
    fn event(&mut self, event: &Event<'_>, known: bool, line: u64) -> Result<(), String> {
        match event {
            Event::Start(start) => self.start(start.local_name().as_ref(), known, line),
            Event::End(_) => {
                self.close(line);
                Ok(())
            }
            Event::Text(text) => self.characters(&text.xml10_content(), line),
            Event::CData(text) => self.characters(&text.xml10_content(), line),
            Event::GeneralRef(reference) => {
                let mut bytes = [0; 4];
                let character = character(reference)?;
                self.characters(character.encode_utf8(&mut bytes), line)
            }
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding)) if !encoding.eq_ignore_ascii_case("utf-8") => {
                    Err(format!("expected UTF-8, the document says {}", shown(&encoding)))
                }
                Some(Ok(_)) | None => Ok(()),
                Some(Err(error)) => Err(format!("expected an encoding: {error}")),
            },
            Event::DocType(_) => Err("expected no document type (DTD): the list has none".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, name: &str, known: bool, line: u64) -> Result<(), String> {
        if self.open.is_empty() {
            if self.root_seen {
                return Err("expected one root element".to_owned());
            }
            if !known {
                return Err(format!("expected a root element of the namespace {NAMESPACE}: is this the list?"));
            }
            self.root_seen = true;
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} levels of elements"));
        }
        let within_entry = self.open.contains(&Element::Entry);
        let element = match (name, self.open.last()) {
            (_, Some(Element::Name | Element::Date)) => {
                return Err(format!("expected text alone, found <{}>", shown(name)));
            }
            ("Domaine", _) if known && within_entry => return Err("expected no Domaine within another".to_owned()),
            ("Domaine", _) if known => {
                self.entry = (line, None);
                Element::Entry
            }
            ("Nom", Some(Element::Entry)) if known => Element::Name,
            ("DateDeGeneration", _) if known && !within_entry => Element::Date,
            _ => Element::Other,
        };
        self.text.clear();
        self.open.push(element);
        Ok(())
    }

    fn characters(&mut self, text: &str, line: u64) -> Result<(), String> {
        match self.open.last() {
            None if text.trim().is_empty() => Ok(()),
            None => Err("expected nothing outside the root element".to_owned()),
            Some(Element::Name | Element::Date) if self.text.len() + text.len() > MAX_TEXT => {
                Err(format!("expected at most {MAX_TEXT} bytes of text, in the element of line {line}"))
            }
            Some(Element::Name | Element::Date) => {
                self.text.push_str(text);
                Ok(())
            }
            Some(Element::Entry | Element::Other) => Ok(()),
        }
    }

    fn close(&mut self, line: u64) {
        match self.open.pop() {
            Some(Element::Name) if self.entry.1.is_some() => self.notes.bad(line, 0, "expected one Nom in a Domaine"),
            Some(Element::Name) => self.entry.1 = Some(self.text.trim().to_owned()),
            Some(Element::Date) => self.date(line),
            Some(Element::Entry) => self.entry(),
            Some(Element::Other) | None => {}
        }
    }

    fn date(&mut self, line: u64) {
        let date = self.text.trim();
        let printable = date.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if date.is_empty() || date.len() > MAX_DATE || !printable {
            self.notes.bad(line, 0, format!("expected a date in DateDeGeneration, found {}", shown(date)));
        } else if self.date.replace(date.to_owned()).is_some() {
            self.notes.bad(line, 0, "expected one DateDeGeneration");
        }
    }

    fn entry(&mut self) {
        let (begun, name) = std::mem::take(&mut self.entry);
        let Some(name) = name else { return self.notes.bad(begun, 0, "expected a Nom in the Domaine") };
        match DomainName::parse(&name) {
            Err(rule) if self.invalid == Invalid::LeaveOut => {
                self.left_out += 1;
                self.notes.remark(begun, &format!("left out {}: {rule}", shown(&name)));
            }
            Err(rule) => self.notes.bad(begun, 0, format!("{rule}, found {}", shown(&name))),
            Ok(domain) => {
                if !name.is_ascii() {
                    self.notes.remark(begun, &format!("{} is {}", shown(&name), domain.as_str()));
                }
                self.add(domain, begun);
            }
        }
    }

    fn add(&mut self, domain: DomainName, line: u64) {
        if let Some(first) = self.domains.get(&domain) {
            return self.notes.remark(line, &format!("{} stands in line {first} too", domain.as_str()));
        }
        if self.domains.len() == MAX_DOMAINS {
            return self.notes.bad(line, 0, format!("expected at most {MAX_DOMAINS} domains"));
        }
        self.domains.insert(domain, line);
    }

    /// The end of the bytes.
    fn end(&self, line: u64) -> Result<(), Stop> {
        let expected = match (self.root_seen, self.open.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => "expected an XML document, found nothing",
            (true, false) => "expected the end of the root element: the document is cut off",
        };
        Err(Stop { line, expected: expected.to_owned() })
    }

    fn finish(mut self) -> Result<Document, BadFile> {
        let whole = self.notes.is_clean();
        if whole && self.domains.is_empty() {
            self.notes.bad(1, 0, "expected at least one Domaine: an import replaces the whole list");
        }
        if whole && self.date.is_none() {
            self.notes.bad(1, 0, "expected a DateDeGeneration: is this the list?");
        }
        let remarks = self.notes.finish()?;
        let generated = self.date.unwrap_or_default();
        Ok(Document { generated, domains: self.domains, left_out: self.left_out, remarks })
    }
}

fn is_of_the_list(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> bool {
    matches!(reader.resolver().resolve_element(start.name()).0, ResolveResult::Bound(Namespace(NAMESPACE)))
}

/// A character reference, or one of XML's own five entities. Any other would need a document type.
fn character(reference: &BytesRef<'_>) -> Result<char, String> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => return Ok(character),
        Ok(None) => {}
        Err(error) => return Err(format!("expected a character: {error}")),
    }
    match &*reference.xml10_content() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(format!("expected no entity, found {}", shown(other))),
    }
}

fn position(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The beginning of what somebody else wrote, on one line.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    format!("{beginning:?}")
}

/// Counts lines on the way through the document, once.
#[derive(Default)]
struct Lines {
    seen: usize,
    ends: u64,
}

impl Lines {
    /// The line, from 1, of the byte at `position`. Positions must not go back by more than they came: a smaller one
    /// than before has the line of the largest so far.
    fn at(&mut self, text: &[u8], position: usize) -> u64 {
        let to = position.min(text.len()).max(self.seen);
        let passed = text.get(self.seen..to).unwrap_or_default();
        self.ends += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.seen = to;
        self.ends + 1
    }
}
