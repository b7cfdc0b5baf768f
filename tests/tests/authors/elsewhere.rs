//! The component in other hosts than the sidecar: each gives the verdicts that `octroi policy test` gives.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::workshop::{Workshop, root, target};

const VECTORS: &str = "plugin/vectors.json";

/// Verdicts by the names of the vectors, as the sidecar's program gives them.
fn expected(workshop: &Workshop) -> Result<BTreeMap<String, String>> {
    let told =
        workshop.shell("octroi policy export -o policy.wasm >/dev/null && octroi policy test policy.wasm --json")?;
    let told: Value = serde_json::from_str(&told)?;
    let answers = told["documents"][0]["answers"].as_array().context("no answers")?;
    let text = |answer: &Value, key: &str| answer[key].as_str().map(str::to_owned).context("no text");
    answers.iter().map(|answer| Ok((text(answer, "vector")?, text(answer, "found")?))).collect()
}

fn gives_the_same_verdicts(workshop: &Workshop, program: &Path, script: &Path) -> Result<()> {
    ensure!(program.exists(), "{} is not there: run tests/prepare.sh", program.display());
    let expected = expected(workshop)?;
    let vectors = root().join(VECTORS).canonicalize()?;
    let arguments = [script, &workshop.path("policy.wasm"), &vectors].map(|path| path.display().to_string());
    let output = workshop.run(program, &arguments.each_ref().map(String::as_str))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout)?;
    let found: BTreeMap<_, _> = told.lines().filter_map(|line| line.split_once('\t')).collect();
    ensure!(found.len() > 20 && found.len() == told.lines().count(), "{told}");
    let wanted: BTreeMap<_, _> = expected.iter().map(|(name, verdict)| (name.as_str(), verdict.as_str())).collect();
    ensure!(found == wanted, "found {found:#?}\nexpected {wanted:#?}");
    Ok(())
}

#[test]
fn python_gives_the_same_verdicts() -> Result<()> {
    let script = root().join("integrations/embed-python/verdicts.py").canonicalize()?;
    gives_the_same_verdicts(&Workshop::open()?, &target().join("embed/python/bin/python"), &script)
}

#[test]
fn node_gives_the_same_verdicts() -> Result<()> {
    let workshop = Workshop::open()?;
    let modules = target().join("embed/node/node_modules");
    ensure!(modules.is_dir(), "{} is not there: run tests/prepare.sh", modules.display());
    // Node looks for packages beside the script.
    symlink(modules, workshop.path("node_modules"))?;
    let script = workshop.path("verdicts.mjs");
    fs::copy(root().join("integrations/embed-node/verdicts.mjs"), &script)?;
    let node = workshop.shell("command -v node").context("node is not there: run tests/prepare.sh")?;
    gives_the_same_verdicts(&workshop, Path::new(node.trim()), &script)
}
