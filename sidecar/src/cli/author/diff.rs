//! `octroi policy diff`: in what two policies differ, as far as anybody can see it from outside. The same two give the
//! same answer at any time.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::candidate::{Candidate, Document, whole};
use crate::cli::table;
use crate::policy::{Digest, Release};
use crate::trial;

/// What is told.
#[derive(Debug, Serialize)]
struct Differences {
    equal: bool,
    a: Side,
    b: Side,
    settings: Vec<Setting>,
    /// Vectors that both were shown.
    compared: usize,
    vectors: Vec<Verdicts>,
}

/// One of the two.
#[derive(Debug, Serialize)]
struct Side {
    given: String,
    name: String,
    version: String,
    settings_schema: Digest,
    component: Digest,
    release: Digest,
}

/// A setting that differs. Absent: the side does not set it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Setting {
    pointer: String,
    a: Option<Value>,
    b: Option<Value>,
}

/// A vector that is answered in two ways.
#[derive(Debug, Serialize)]
struct Verdicts {
    document: String,
    vector: String,
    a: String,
    b: String,
}

impl Side {
    fn of(candidate: &Candidate, release: &Release) -> Self {
        let (card, statement) = (release.card(), candidate.statement());
        Self {
            given: candidate.name.clone(),
            name: card.name.clone(),
            version: card.version.clone(),
            settings_schema: Digest::of(card.settings_schema.as_bytes()),
            component: statement.component,
            release: statement.release(),
        }
    }

    fn lines(&self) -> [String; 5] {
        let Self { name, version, settings_schema, component, release, .. } = self;
        [name.clone(), version.clone(), settings_schema.to_string(), component.to_string(), release.to_string()]
    }
}

/// Says whether the two are equal.
pub(super) fn run(
    [a, b]: [&Candidate; 2],
    files: &[PathBuf],
    json: bool,
    output: &mut impl Write,
) -> anyhow::Result<bool> {
    let documents = documents([a, b], files)?;
    let releases = (a.load(&documents)?, b.load(&documents)?);
    let mut told = Differences {
        equal: false,
        a: Side::of(a, &releases.0),
        b: Side::of(b, &releases.1),
        settings: Vec::new(),
        compared: documents.iter().map(|document| document.vectors.count()).sum(),
        vectors: Vec::new(),
    };
    let settings = [a, b].map(|side| side.settings.clone().map_or_else(|| Value::from(Map::new()), Value::from));
    let [left, right] = &settings;
    walk("", Some(left), Some(right), &mut told.settings);
    for document in &documents {
        let of = |candidate, release| answers(candidate, release, document, &documents);
        told.vectors.extend(unlike(document, of(a, &releases.0), of(b, &releases.1)));
    }
    told.equal = told.a.lines() == told.b.lines() && told.settings.is_empty() && told.vectors.is_empty();
    if json {
        writeln!(output, "{}", serde_json::to_string_pretty(&told)?)?;
    } else {
        print(&told, output)?;
    }
    Ok(told.equal)
}

/// The vectors that either carries, those that both carry once, then those of the files.
fn documents(sides: [&Candidate; 2], files: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut documents: Vec<Document> = Vec::new();
    for side in sides {
        if let Some(own) = side.carried()?
            && documents.iter().all(|known| known.vectors != own.vectors)
        {
            documents.push(own);
        }
    }
    for path in files {
        documents.push(Document::read(path)?);
    }
    Ok(documents)
}

/// What a policy answers to each vector, by name; or why it answers none. The document's settings apply, and over them
/// those that came with the policy: so a difference of settings shows in the verdicts.
fn answers(
    candidate: &Candidate,
    release: &Release,
    document: &Document,
    documents: &[Document],
) -> Result<Vec<(String, String)>, String> {
    let mut settings = document.vectors.settings.clone().unwrap_or_default();
    settings.extend(candidate.settings.clone().unwrap_or_default());
    let settings = Value::from(whole(settings, documents)).to_string();
    let release = release.reconfigured(&settings).map_err(|error| error.to_string())?;
    let answers = trial::answers(&release, &document.vectors);
    Ok(answers.map(|answered| (answered.name, answered.found)).collect())
}

/// The vectors on which two policies do not answer alike.
fn unlike(
    document: &Document,
    a: Result<Vec<(String, String)>, String>,
    b: Result<Vec<(String, String)>, String>,
) -> Vec<Verdicts> {
    let verdicts = |vector: &str, a: String, b: String| {
        let document = document.name.clone();
        (a != b).then(|| Verdicts { document, vector: vector.to_owned(), a, b })
    };
    match (a, b) {
        (Ok(a), Ok(b)) => a.into_iter().zip(b).filter_map(|((name, a), (_, b))| verdicts(&name, a, b)).collect(),
        (a, b) => {
            let told =
                |side: Result<_, String>| side.map_or_else(|refusal| refusal, |_| "takes its settings".to_owned());
            verdicts("all of them", told(a), told(b)).into_iter().collect()
        }
    }
}

/// Collects where two documents differ: JSON pointers (RFC 6901), in the order of the keys' names.
fn walk(pointer: &str, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Setting>) {
    match (a, b) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            for key in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                walk(&format!("{pointer}/{escaped}"), left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                walk(&format!("{pointer}/{index}"), left.get(index), right.get(index), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(Setting { pointer: pointer.to_owned(), a: a.cloned(), b: b.cloned() }),
    }
}

fn print(told: &Differences, output: &mut impl Write) -> anyhow::Result<()> {
    let names = ["name", "version", "settings schema", "component", "release"];
    let rows = names.into_iter().zip(told.a.lines().into_iter().zip(told.b.lines()));
    let rows = rows.map(|(name, (a, b))| {
        let differs = if a == b { "" } else { "differs" };
        [name.to_owned(), differs.to_owned(), format!("{a}\n{b}")]
    });
    writeln!(output, "A: {}\nB: {}", told.a.given, told.b.given)?;
    table::print(output, ["policy", "", "A, B"], rows)?;
    if !told.settings.is_empty() {
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
        let rows = told.settings.iter().map(|s| [s.pointer.clone(), shown(&s.a), shown(&s.b)]);
        table::print(output, ["setting", "A", "B"], rows)?;
    }
    if !told.vectors.is_empty() {
        let rows = told.vectors.iter().map(|v| [format!("{}\n{}", v.vector, v.document), v.a.clone(), v.b.clone()]);
        table::print(output, ["vector", "A", "B"], rows)?;
    }
    let (compared, unlike) = (told.compared, told.vectors.len());
    writeln!(output, "{unlike} of {compared} vectors are not answered alike")?;
    writeln!(output, "{}", if told.equal { "the two are equal" } else { "the two differ" })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::super::candidate::BUILT_IN;
    use super::*;
    use crate::policy::EMBEDDED;

    fn built_in() -> Candidate {
        Candidate::read(Path::new(BUILT_IN), None).unwrap()
    }

    fn compared(a: &Candidate, b: &Candidate, json: bool) -> (bool, String) {
        let mut output = Vec::new();
        let equal = run([a, b], &[], json, &mut output).unwrap();
        (equal, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_policy_is_equal_to_itself() {
        let (equal, told) = compared(&built_in(), &built_in(), false);
        assert!(equal && told.ends_with("the two are equal\n") && !told.contains("differs"), "{told}");
    }

    #[test]
    fn other_settings_show_by_pointer_and_in_the_verdicts_each_time_alike() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.wasm"), EMBEDDED).unwrap();
        fs::write(folder.path().join("settings.json"), r#"{"acr": ["eidas3"]}"#).unwrap();
        let stricter = Candidate::read(folder.path(), None).unwrap();
        let (equal, told) = compared(&built_in(), &stricter, true);
        let read: Value = serde_json::from_str(&told).unwrap();
        assert!(!equal && read["equal"] == false, "{told}");
        assert_eq!(read["settings"], json!([{ "pointer": "/acr", "a": null, "b": ["eidas3"] }]));
        assert_eq!(read["a"]["component"], read["b"]["component"]);
        assert_ne!(read["a"]["release"], read["b"]["release"]);
        let first = &read["vectors"][0];
        assert_eq!(
            (&first["a"], &first["b"]),
            (&json!("allow docteur.un@bal.example.test"), &json!("deny assurance-refused"))
        );
        assert_eq!(compared(&built_in(), &stricter, true).1, told);
        let (_, table) = compared(&built_in(), &stricter, false);
        assert!(table.contains("/acr") && table.contains("not set") && table.contains("the two differ"), "{table}");
    }

    #[test]
    fn settings_that_one_refuses_are_a_difference_of_all_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vectors.json");
        fs::write(&file, r#"{"settings": {"acr": 1}}"#).unwrap();
        let document = Document::read(&file).unwrap();
        let refusal = answers(&built_in(), &built_in().load(&[]).unwrap(), &document, &[]);
        assert!(refusal.as_ref().unwrap_err().contains("/acr"), "{refusal:?}");
        let unlike = unlike(&document, refusal, Ok(Vec::new()));
        assert_eq!((unlike[0].vector.as_str(), unlike[0].b.as_str()), ("all of them", "takes its settings"));
    }

    #[test]
    fn pointers_are_escaped_and_lists_are_walked() {
        let (a, b) = (json!({ "a/b": [1, { "~": 2 }], "c": 1 }), json!({ "a/b": [1, { "~": 3 }, 4] }));
        let mut found = Vec::new();
        walk("", Some(&a), Some(&b), &mut found);
        let pointers: Vec<_> = found.iter().map(|setting| setting.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a~1b/1/~0", "/a~1b/2", "/c"]);
    }
}
