//! Reads one TOML table key by key and collects every problem on the way.
//!
//! serde stops at the first mistake and knows no neighbouring key; this reader goes on, remembers which keys were
//! asked for, and refuses the others with the nearest one that it knows.

use std::cell::RefCell;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;

type Spanned<T> = toml::Spanned<T>;

/// The problems of one file, and its text, to tell lines.
pub(super) struct Report<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    asked: RefCell<Vec<String>>,
}

impl<'t> Report<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::new(Vec::new()), asked: RefCell::new(Vec::new()) }
    }

    /// Adds a problem about the bytes at `span`.
    pub(super) fn add(&self, key: &str, span: &Range<usize>, expected: impl Into<String>, remedy: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
        let problem = Problem { line, key: key.to_owned(), expected: expected.into(), remedy: remedy.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Whether nothing was reported yet.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// Every key asked for so far, without the numbers of repeated tables.
    #[cfg(test)]
    pub(super) fn asked(&self) -> std::collections::BTreeSet<String> {
        let plain =
            |key: &String| key.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
        self.asked.borrow().iter().map(plain).collect()
    }
}

/// A value with its place: enough to complain about it later.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    pub(super) fn complain(&self, report: &Report<'_>, expected: impl Into<String>, remedy: impl Into<String>) {
        report.add(&self.key, &self.span, expected, remedy);
    }

    /// The same place, for another value.
    fn with<U>(&self, value: U) -> At<U> {
        At { value, key: self.key.clone(), span: self.span.clone() }
    }
}

/// One table of the file.
pub(super) struct Section<'a, 'i> {
    report: &'a Report<'a>,
    table: Option<&'a DeTable<'i>>,
    path: String,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'a, 'i> Section<'a, 'i> {
    pub(super) const fn root(report: &'a Report<'a>, table: &'a DeTable<'i>) -> Self {
        Self { report, table: Some(table), path: String::new(), span: 0..0, known: Vec::new() }
    }

    /// A table below this one; an empty one where it is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        self.optional_section(key).unwrap_or_else(|| Section {
            report: self.report,
            table: None,
            path: self.join(key),
            span: self.span.clone(),
            known: Vec::new(),
        })
    }

    /// A table below this one, if it is there.
    pub(super) fn optional_section(&mut self, key: &'static str) -> Option<Self> {
        let at = self.value(key)?;
        let Some(table) = at.value.as_table() else {
            at.complain(self.report, found("a table", at.value), format!("write it as [{}]", at.key));
            return None;
        };
        Some(Section { report: self.report, table: Some(table), path: at.key, span: at.span, known: Vec::new() })
    }

    /// The tables of an array of tables, in their order.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        let Some(at) = self.value(key) else { return Vec::new() };
        let Some(array) = at.value.as_array() else {
            at.complain(self.report, found("one or more tables", at.value), format!("write each as [[{}]]", at.key));
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(array.len());
        for (number, item) in array.iter().enumerate() {
            let path = format!("{}[{}]", at.key, number + 1);
            match item.get_ref().as_table() {
                Some(table) => {
                    let (report, span) = (self.report, item.span());
                    sections.push(Section { report, table: Some(table), path, span, known: Vec::new() });
                }
                None => self.report.add(
                    &path,
                    &item.span(),
                    found("a table", item.get_ref()),
                    format!("write it as [[{}]]", at.key),
                ),
            }
        }
        sections
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<At<&'a str>> {
        let at = self.value(key)?;
        let Some(text) = at.value.as_str() else {
            at.complain(self.report, found("a text", at.value), "put it between quotes");
            return None;
        };
        Some(at.with(text))
    }

    /// A text that `parse` accepts; its error says what is expected, the remedy what to do.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let at = self.text(key)?;
        match parse(at.value) {
            Ok(value) => Some(at.with(value)),
            Err(expected) => {
                at.complain(self.report, expected, remedy);
                None
            }
        }
    }

    /// A text out of a list, by its meaning.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<At<T>> {
        let words = choices.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        self.parsed(key, &format!("write one of {words}"), |text| {
            let known = choices.iter().find(|(word, _)| *word == text);
            known.map(|(_, meaning)| *meaning).ok_or_else(|| format!("expected one of {words}, found {text:?}"))
        })
    }

    /// A whole number within `range`, or the default.
    pub(super) fn number(&mut self, key: &'static str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(at) = self.value(key) else { return default };
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let number = at.value.as_integer().map(|int| u64::from_str_radix(int.as_str(), int.radix()));
        match number {
            Some(Ok(number)) if range.contains(&number) => return number,
            Some(_) => at.complain(
                self.report,
                format!("expected {wanted}, found {}", at.value.as_integer().map_or("", |int| int.as_str())),
                format!("choose one within, or leave the key out for {default}"),
            ),
            None => at.complain(
                self.report,
                found(&wanted, at.value),
                format!("write a bare number, or leave the key out for {default}"),
            ),
        }
        default
    }

    /// Yes or no; no where it is left out.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        let Some(at) = self.value(key) else { return false };
        at.value.as_bool().unwrap_or_else(|| {
            at.complain(self.report, found("true or false", at.value), "write true or false, without quotes");
            false
        })
    }

    /// A list of texts, each with its place.
    pub(super) fn list(&mut self, key: &'static str) -> Option<At<Vec<At<&'a str>>>> {
        let at = self.value(key)?;
        let Some(array) = at.value.as_array() else {
            at.complain(self.report, found("a list of texts", at.value), "write it as [\"one\", \"two\"]");
            return None;
        };
        let mut texts = Vec::with_capacity(array.len());
        for (number, item) in array.iter().enumerate() {
            let place = At { value: item.get_ref(), key: format!("{}[{}]", at.key, number + 1), span: item.span() };
            match place.value.as_str() {
                Some(text) => texts.push(place.with(text)),
                None => place.complain(self.report, found("a text", place.value), "put it between quotes"),
            }
        }
        Some(at.with(texts))
    }

    /// A table as it stands, whatever is in it.
    pub(super) fn free(&mut self, key: &'static str) -> Option<At<&'a DeTable<'i>>> {
        let at = self.value(key)?;
        let Some(table) = at.value.as_table() else {
            at.complain(self.report, found("a table", at.value), format!("write it as [{}]", at.key));
            return None;
        };
        Some(at.with(table))
    }

    /// Says that a key is missing.
    pub(super) fn missing(&self, key: &str, expected: &str, remedy: &str) {
        self.report.add(&self.join(key), &self.span, format!("expected {expected}, found nothing"), remedy);
    }

    /// Whether the key stands in the file.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.keys().any(|known| known.get_ref() == key))
    }

    /// Place of the section itself, for complaints about several of its keys together.
    pub(super) fn place(&self) -> At<()> {
        At { value: (), key: self.path.clone(), span: self.span.clone() }
    }

    /// A value that stands nowhere in the file: a default, complained about at its section.
    pub(super) fn default<T>(&self, key: &str, value: T) -> At<T> {
        At { value, key: self.join(key), span: self.span.clone() }
    }

    pub(super) const fn report(&self) -> &'a Report<'a> {
        self.report
    }

    /// Refuses every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            if self.known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let remedy = match self.nearest(key.get_ref()) {
                Some(near) => format!("did you mean {near:?}? Otherwise take it out"),
                None => format!("take it out; known here: {}", self.known.join(", ")),
            };
            self.report.add(&self.join(key.get_ref()), &key.span(), "unknown key", remedy);
        }
    }

    fn nearest(&self, key: &str) -> Option<&'static str> {
        let scored = self.known.iter().map(|known| (strsim::damerau_levenshtein(known, key), *known));
        scored.min().filter(|(distance, known)| *distance <= known.len().max(3) / 3).map(|(_, known)| known)
    }

    fn value(&mut self, key: &'static str) -> Option<At<&'a DeValue<'i>>> {
        self.known.push(key);
        let path = self.join(key);
        self.report.asked.borrow_mut().push(path.clone());
        let value: &Spanned<DeValue<'i>> = self.table?.get(key)?;
        Some(At { value: value.get_ref(), key: path, span: value.span() })
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn found(expected: &str, value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("expected {expected}, found {kind}")
}
