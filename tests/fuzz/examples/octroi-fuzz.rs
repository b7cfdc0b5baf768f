//! One target under libFuzzer: `OCTROI_FUZZ_TARGET` names it, `OCTROI_FUZZ_CORPUS` the folder to which its seeds are
//! added.
#![no_main]
#![allow(clippy::expect_used, clippy::panic, reason = "called wrongly, there is nothing to run")]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use octroi_fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn begin() {
    let name = std::env::var("OCTROI_FUZZ_TARGET").unwrap_or_default();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    let target = found.unwrap_or_else(|| panic!("OCTROI_FUZZ_TARGET must be one of {names:?}, and is {name:?}"));
    let corpus = std::env::var_os("OCTROI_FUZZ_CORPUS").map(PathBuf::from).expect("OCTROI_FUZZ_CORPUS names no folder");
    for (number, seed) in target.seeds.iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{number}")), seed).expect("a folder to write to");
    }
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: begin(), |bytes: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(bytes);
    }
});
