//! `octroi policy bench`: what a policy costs in this process, beside the built-in one on the same vectors in the same
//! minutes. Its figures are of this machine and this build: what holds elsewhere is the ratio.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::candidate::{BUILT_IN, Candidate};
use crate::cli::table;
use crate::clock::UnixSeconds;
use crate::policy::wit::certificate;
use crate::policy::wit::login::{Attempt, Verdict};
use crate::policy::wit::submission::Request;
use crate::policy::{Fault, Release};
use crate::trial;
use crate::trial::vectors::{Login, Vectors};

/// Rounds, of which the one in the middle counts.
const ROUNDS: usize = 15;
/// A round ends after so many calls, or so much time.
const CALLS: usize = 200;
const TIME: Duration = Duration::from_millis(40);

/// What a vector asks of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Granted,
    RefusedAtOnce,
    NotGranted,
    Message,
    Certificate,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Granted, Self::RefusedAtOnce, Self::NotGranted, Self::Message, Self::Certificate];

    const fn name(self) -> &'static str {
        match self {
            Self::Granted => "login granted",
            Self::RefusedAtOnce => "login refused by open",
            Self::NotGranted => "login not granted by decide",
            Self::Message => "message judged",
            Self::Certificate => "certificate judged",
        }
    }
}

/// A vector, made ready.
enum Call<'v> {
    Login(&'v Login, Attempt),
    Message(Request),
    Certificate(certificate::Request, UnixSeconds),
}

/// Where the time of one call goes, in seconds, and the bytes of its memory.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    instance: f64,
    first: f64,
    decide: f64,
    whole: f64,
    memory: usize,
}

/// Measures and prints.
pub(super) fn run(candidate: &Candidate, files: &[PathBuf], output: &mut impl Write) -> anyhow::Result<()> {
    let documents = candidate.documents(files)?;
    let release = candidate.load(&documents)?;
    let built_in = Candidate::read(Path::new(BUILT_IN), None)?.load(&documents)?;
    let mut rows = Vec::new();
    for document in &documents {
        let Vectors { logins, .. } = &document.vectors;
        let configured = trial::configured(&release, &document.vectors);
        let configured = configured.with_context(|| format!("{}: its settings", document.name))?;
        let release = configured.as_ref().unwrap_or(&release);
        // A policy with settings of another kind has nothing to be compared with.
        let other = trial::configured(&built_in, &document.vectors).ok();
        let other = other.as_ref().map(|own| own.as_ref().unwrap_or(&built_in));
        let mut calls: Vec<(Kind, Call<'_>)> = Vec::new();
        for login in logins {
            calls.push((kind(release, login)?, Call::Login(login, login.attempt()?)));
        }
        calls
            .extend(document.vectors.submissions.iter().map(|vector| (Kind::Message, Call::Message(vector.request()))));
        let certificates = document.vectors.certificates.iter();
        calls.extend(certificates.map(|vector| (Kind::Certificate, Call::Certificate(vector.request(), vector.now()))));
        for kind in Kind::ALL {
            let calls: Vec<_> = calls.iter().filter(|(of, _)| *of == kind).map(|(_, call)| call).collect();
            if !calls.is_empty() {
                let (own, beside) = measured(release, other, &calls)?;
                rows.push(row(&document.name, kind, calls.len(), own, beside));
            }
        }
    }
    let header = ["vectors", "instance", "open or judge", "decide", "whole", "× built-in", "instances/s", "memory"];
    writeln!(output, "microseconds a call, the median of {ROUNDS} rounds; whole: an instance, its calls and its end")?;
    table::print(output, header, rows)?;
    Ok(())
}

/// What becomes of a login.
fn kind(release: &Release, login: &Login) -> anyhow::Result<Kind> {
    let course = trial::login(release, login)?;
    Ok(match (course.inquiry, course.answer) {
        (None, _) => Kind::RefusedAtOnce,
        (Some(_), trial::vectors::Answer::Allow(_)) => Kind::Granted,
        (Some(_), _) => Kind::NotGranted,
    })
}

/// Both policies on the same calls, in turns.
fn measured(release: &Release, other: Option<&Release>, calls: &[&Call<'_>]) -> anyhow::Result<(Cost, Option<Cost>)> {
    let (mut own, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(round(release, calls).context("it gave no answer")?);
        if let Some(other) = other {
            beside.push(round(other, calls).context("the built-in policy gave no answer")?);
        }
    }
    Ok((middle(&own), other.map(|_| middle(&beside))))
}

/// The mean of one round.
fn round(release: &Release, calls: &[&Call<'_>]) -> Result<Cost, Fault> {
    let began = Instant::now();
    let (mut sum, mut count) = (Cost::default(), 0_u32);
    for call in calls.iter().cycle().take(CALLS.max(calls.len())) {
        let cost = once(release, call)?;
        sum.instance += cost.instance;
        sum.first += cost.first;
        sum.decide += cost.decide;
        sum.whole += cost.whole;
        sum.memory = sum.memory.max(cost.memory);
        count += 1;
        if began.elapsed() > TIME {
            break;
        }
    }
    let mean = |sum: f64| sum / f64::from(count.max(1));
    let Cost { instance, first, decide, whole, memory } = sum;
    Ok(Cost { instance: mean(instance), first: mean(first), decide: mean(decide), whole: mean(whole), memory })
}

fn once(release: &Release, call: &Call<'_>) -> Result<Cost, Fault> {
    let began = Instant::now();
    let mut instance = release.instance()?;
    let mut cost = Cost { instance: began.elapsed().as_secs_f64(), ..Cost::default() };
    let call_began = Instant::now();
    match call {
        Call::Message(request) => {
            instance.judge(request)?;
            cost.first = call_began.elapsed().as_secs_f64();
        }
        Call::Certificate(request, now) => {
            instance.judge_certificate(request, *now)?;
            cost.first = call_began.elapsed().as_secs_f64();
        }
        Call::Login(login, attempt) => {
            let opened = instance.open(attempt, login.now())?;
            cost.first = call_began.elapsed().as_secs_f64();
            if let Ok(inquiry) = opened {
                let evidence = login.evidence(inquiry.introspect);
                let call_began = Instant::now();
                let _: Verdict = instance.decide(&inquiry, &evidence, login.now())?;
                cost.decide = call_began.elapsed().as_secs_f64();
            }
        }
    }
    cost.memory = instance.memory();
    drop(instance);
    cost.whole = began.elapsed().as_secs_f64();
    Ok(cost)
}

/// The median of each figure, and the largest memory.
fn middle(rounds: &[Cost]) -> Cost {
    let median = |of: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    Cost {
        instance: median(|cost| cost.instance),
        first: median(|cost| cost.first),
        decide: median(|cost| cost.decide),
        whole: median(|cost| cost.whole),
        memory: rounds.iter().map(|cost| cost.memory).max().unwrap_or_default(),
    }
}

fn row(document: &str, kind: Kind, count: usize, own: Cost, beside: Option<Cost>) -> [String; 8] {
    let micros = |seconds: f64| format!("{:.1}", seconds * 1e6);
    let decide = if own.decide > 0.0 { micros(own.decide) } else { String::new() };
    let ratio =
        beside.map_or_else(|| "its settings differ".to_owned(), |beside| format!("{:.2}", own.whole / beside.whole));
    [
        format!("{}, {count} vectors\n{document}", kind.name()),
        micros(own.instance),
        micros(own.first),
        decide,
        micros(own.whole),
        ratio,
        format!("{:.0}", 1.0 / own.instance),
        format!("{} KiB", own.memory >> 10),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_vector_is_measured_beside_the_built_in_policy() {
        let candidate = Candidate::read(Path::new(BUILT_IN), None).unwrap();
        let mut output = Vec::new();
        run(&candidate, &[], &mut output).unwrap();
        let told = String::from_utf8(output).unwrap();
        for kind in Kind::ALL {
            assert!(told.contains(kind.name()), "{told}");
        }
        assert!(told.contains(" KiB") && told.contains("carried by built-in") && !told.contains("differ"), "{told}");
    }

    #[test]
    fn a_median_is_the_figure_in_the_middle() {
        let of = |whole: f64| Cost { whole, memory: 7, ..Cost::default() };
        let Cost { whole, memory, .. } = middle(&[of(9.0), of(1.0), of(2.0)]);
        assert_eq!((whole.to_string(), memory), ("2".to_owned(), 7));
    }
}
