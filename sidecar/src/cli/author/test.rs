//! `octroi policy test`: what a policy answers to vectors, and where that is not what they say.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::candidate::{Candidate, Document};
use crate::cli::table;
use crate::policy::{Digest, Release};
use crate::trial::{self, Answered};

/// How a policy did.
#[derive(Debug, Serialize)]
struct Outcome {
    name: String,
    version: String,
    component: Digest,
    documents: Vec<Tried>,
    vectors: usize,
    differences: usize,
}

/// How it did on one document.
#[derive(Debug, Serialize)]
struct Tried {
    document: String,
    /// Whether the document brought the settings.
    own_settings: bool,
    answers: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    vector: String,
    expected: String,
    found: String,
    alike: bool,
}

impl Tried {
    fn different(&self) -> impl Iterator<Item = &Told> {
        self.answers.iter().filter(|told| !told.alike)
    }
}

/// Says whether every vector was answered as it says.
pub(super) fn run(
    candidate: &Candidate,
    files: &[PathBuf],
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<bool> {
    let documents = candidate.documents(files)?;
    let release = candidate.load(&documents)?;
    let tried = documents.iter().map(|document| tried(&release, document)).collect::<anyhow::Result<Vec<_>>>()?;
    let outcome = Outcome {
        name: release.card().name.clone(),
        version: release.card().version.clone(),
        component: candidate.statement().component,
        vectors: tried.iter().map(|tried| tried.answers.len()).sum(),
        differences: tried.iter().map(|tried| tried.different().count()).sum(),
        documents: tried,
    };
    if json {
        writeln!(output, "{}", serde_json::to_string_pretty(&outcome)?)?;
    } else {
        print(&outcome, output)?;
    }
    Ok(outcome.differences == 0)
}

fn tried(release: &Release, document: &Document) -> anyhow::Result<Tried> {
    let Document { name, vectors } = document;
    let configured = trial::configured(release, vectors).with_context(|| format!("{name}: its settings"))?;
    let answers = trial::answers(configured.as_ref().unwrap_or(release), vectors);
    let answers =
        answers.map(|Answered { name, expected, found, alike }| Told { vector: name, expected, found, alike });
    Ok(Tried { document: name.clone(), own_settings: configured.is_some(), answers: answers.collect() })
}

fn print(outcome: &Outcome, output: &mut impl Write) -> anyhow::Result<()> {
    writeln!(output, "{} {}, component {}", outcome.name, outcome.version, outcome.component)?;
    let rows = outcome.documents.iter().map(|tried| {
        let settings = if tried.own_settings { "the vectors' own" } else { "the policy's" };
        let (all, different) = (tried.answers.len(), tried.different().count());
        [tried.document.clone(), settings.to_owned(), all.to_string(), different.to_string()]
    });
    table::print(output, ["vectors", "settings", "tried", "answered otherwise"], rows)?;
    for (tried, told) in outcome.documents.iter().flat_map(|tried| tried.different().map(move |told| (tried, told))) {
        let Told { vector, expected, found, .. } = told;
        writeln!(output, "{}: {vector}\n  expected  {expected}\n  found     {found}", tried.document)?;
    }
    let (all, different) = (outcome.vectors, outcome.differences);
    match different {
        0 => writeln!(output, "all {all} vectors are answered as they say")?,
        _ => writeln!(output, "{different} of {all} vectors are answered otherwise: octroi policy explain shows how")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::candidate::BUILT_IN;
    use super::*;
    use crate::policy::EMBEDDED;
    use crate::trial::carried;

    fn tested(files: &[PathBuf], json: bool) -> (bool, String) {
        let candidate = Candidate::read(Path::new(BUILT_IN), None).unwrap();
        let mut output = Vec::new();
        let good = run(&candidate, files, json, &mut output).unwrap();
        (good, String::from_utf8(output).unwrap())
    }

    #[test]
    fn the_built_in_policy_passes_its_own_vectors() {
        let (good, told) = tested(&[], false);
        let all = carried(EMBEDDED).unwrap().unwrap().count();
        assert!(good && told.contains("carried by built-in"), "{told}");
        assert!(told.ends_with(&format!("all {all} vectors are answered as they say\n")), "{told}");
    }

    #[test]
    fn a_vector_that_is_answered_otherwise_is_told_and_fails_the_test() {
        let mut vectors = carried(EMBEDDED).unwrap().unwrap();
        vectors.logins.truncate(2);
        vectors.submissions.clear();
        let mut document = serde_json::to_value(&vectors).unwrap();
        document["logins"][1]["expect"] = json!({ "deny": "token-expired" });
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), document.to_string()).unwrap();
        let (good, told) = tested(&[file.path().to_owned()], false);
        assert!(!good, "{told}");
        let lines = "expected  deny token-expired\n  found     allow docteur.un@bal.example.test\n";
        assert!(told.contains(lines) && told.contains("1 of "), "{told}");
        let (good, told) = tested(&[file.path().to_owned()], true);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert!(!good && told["differences"] == 1, "{told}");
        let answer = &told["documents"][1]["answers"][1];
        assert_eq!((&answer["expected"], &answer["alike"]), (&json!("deny token-expired"), &json!(false)));
    }
}
