//! The folder that `octroi policy new` writes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::workshop::{Workshop, root};

#[test]
fn a_new_policy_builds_packs_passes_its_vectors_and_answers_as_the_built_in_one() -> Result<()> {
    let workshop = Workshop::open()?;
    {
        let _building = Workshop::building();
        let told = workshop.shell("octroi policy new mine && mine/build.sh")?;
        ensure!(told.contains("vectors are answered as they say"), "{told}");
    }
    let output =
        workshop.run(workshop.path("bin/octroi"), &["policy", "diff", "built-in", "mine/release", "--json"])?;
    let told: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    ensure!(told["vectors"] == Value::Array(Vec::new()) && told["compared"].as_u64() > Some(20), "{told}");
    ensure!(told["a"]["name"] == told["b"]["name"] && told["a"]["version"] == told["b"]["version"], "{told}");
    // The versions are those that the built-in policy was built of.
    let packages = |path: &Path| {
        let lock = fs::read_to_string(path)?;
        let named = |line: &&str| ["name = ", "version = ", "checksum = "].iter().any(|key| line.starts_with(key));
        let package = |text: &str| text.lines().filter(named).collect::<Vec<_>>().join(" ");
        anyhow::Ok(lock.split("[[package]]").skip(1).map(package).collect::<Vec<_>>())
    };
    let (all, used) = (packages(&root().join("Cargo.lock"))?, packages(&workshop.path("mine/Cargo.lock"))?);
    ensure!(used.len() < all.len() && used.iter().all(|package| all.contains(package)), "{used:?}");
    Ok(())
}
