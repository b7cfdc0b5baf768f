//! What a check found, and how it is told.

use std::io::{self, Write};

use crate::cli::table;

/// How a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// As it should be.
    Good,
    /// Not looked at, or not to be judged here: proves nothing.
    Unchecked,
    /// To be mended: the check fails.
    Mistake,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// How it weighs.
    pub(super) weight: Weight,
    /// Where: a part of the installation.
    pub(super) place: String,
    /// What was found.
    pub(super) what: String,
    /// What to do about it; empty for what is good.
    pub(super) remedy: String,
}

/// All findings, in the order of looking.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn good(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.add(Weight::Good, place, what, "");
    }

    pub(super) fn unchecked(&mut self, place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Weight::Unchecked, place, what, remedy);
    }

    pub(super) fn mistake(&mut self, place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Weight::Mistake, place, what, remedy);
    }

    fn add(&mut self, weight: Weight, place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { weight, place: place.into(), what: what.into(), remedy: remedy.into() });
    }

    pub(super) fn has_mistakes(&self) -> bool {
        self.count(Weight::Mistake) > 0
    }

    /// How many findings there are, to tell later whether any came since.
    pub(super) fn mistakes(&self) -> usize {
        self.count(Weight::Mistake)
    }

    fn count(&self, weight: Weight) -> usize {
        self.0.iter().filter(|finding| finding.weight == weight).count()
    }

    pub(super) fn print(&self, output: &mut impl Write) -> io::Result<()> {
        let rows = self.0.iter().map(|finding| {
            let word = match finding.weight {
                Weight::Good => "ok",
                Weight::Unchecked => "not checked",
                Weight::Mistake => "MISTAKE",
            };
            [word, &finding.place, &finding.what, &finding.remedy]
        });
        table::print(output, ["", "where", "what", "remedy"], rows)?;
        let (good, unchecked, mistakes) =
            (self.count(Weight::Good), self.count(Weight::Unchecked), self.count(Weight::Mistake));
        writeln!(output, "{good} ok, {unchecked} not checked, {mistakes} mistakes")
    }

    #[cfg(test)]
    pub(super) fn findings(&self) -> &[Finding] {
        &self.0
    }
}
