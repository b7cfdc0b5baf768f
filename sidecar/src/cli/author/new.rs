//! `octroi policy new`: the source of the built-in policy, as a workspace that builds by itself.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

// `SOURCES`: what is copied as it is, path and text, from the sources that the built-in policy was built of.
include!(concat!(env!("OUT_DIR"), "/policy_sources.rs"));

/// The manifest of the workspace that this program was built in.
const MANIFEST: &str = include_str!("../../../../Cargo.toml");
const COMPONENT: &str = include_str!("../../../../plugin/Cargo.toml");
const RULES: &str = include_str!("../../../../plugin/rules/Cargo.toml");
/// Exact versions: cargo takes out what this workspace does not use.
const LOCK: &str = include_str!("../../../../Cargo.lock");
const BUILD: &str = include_str!("new/build.sh");

/// Writes the workspace. Refuses a folder that has anything in it.
pub(super) fn run(folder: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let shown = folder.display();
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            ensure!(entries.next().is_none(), "{shown} is not empty: name a folder that is, or a new one")
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => bail!("{shown}: {error}"),
    }
    let manifest = manifest()?;
    let component = format!("{COMPONENT}\n[lib]\ncrate-type = [\"cdylib\"]\n");
    let written = [
        ("Cargo.toml", manifest.as_str()),
        ("Cargo.lock", LOCK),
        ("policy/Cargo.toml", &component),
        ("policy/rules/Cargo.toml", RULES),
        ("build.sh", BUILD),
        (".cargo/config.toml", include_str!("new/config.toml")),
        (".gitignore", include_str!("new/gitignore")),
        ("README.md", include_str!("new/README.md")),
    ];
    for (path, text) in written.iter().chain(SOURCES) {
        let path = folder.join(path);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text)
        };
        write().with_context(|| path.display().to_string())?;
    }
    fs::set_permissions(folder.join("build.sh"), fs::Permissions::from_mode(0o755))?;
    writeln!(output, "{shown}: the built-in policy's source; read README.md there, then run build.sh")?;
    Ok(())
}

/// The new workspace's manifest: what both crates inherit, the versions that they name and the profile of the built-in
/// policy.
fn manifest() -> anyhow::Result<String> {
    let used = |name: &str| {
        let named = |manifest: &str| {
            manifest
                .lines()
                .any(|line| line.starts_with(&format!("{name}.workspace")) || line.starts_with(&format!("{name} =")))
        };
        named(COMPONENT) || named(RULES)
    };
    let dependencies = section("[workspace.dependencies]")?.lines().skip(1);
    let dependencies = dependencies.filter(|line| {
        let name = line.split_once(" =").map_or("", |(name, _)| name);
        !line.contains("path =") && !name.is_empty() && used(name)
    });
    let dependencies: Vec<_> = dependencies.collect();
    let profile = section("[profile.component]")?.lines().skip(1).filter(|line| !line.starts_with("inherits"));
    let profile: Vec<_> = profile.collect();
    let shared = ["[workspace.package]", "[workspace.lints.rust]", "[workspace.lints.clippy]"];
    let [package, rust, clippy] = shared.map(section);
    Ok(format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"policy\", \"policy/rules\"]\ndefault-members = [\"policy\"]\n\n\
         {}\n\n[workspace.dependencies]\noctroi-rules = {{ path = \"policy/rules\" }}\n{}\n\n\
         [profile.release]\n{}\n\n{}\n\n{}\n",
        package?,
        dependencies.join("\n"),
        profile.join("\n"),
        rust?,
        clippy?
    ))
}

/// A section of [`MANIFEST`] with its header, without comments and empty lines at its end.
fn section(header: &str) -> anyhow::Result<&'static str> {
    let (_, after) = MANIFEST.split_once(header).with_context(|| format!("{header} is not in the manifest"))?;
    let length = header.len() + after.split("\n[").next().unwrap_or(after).len();
    let start = MANIFEST.len() - after.len() - header.len();
    let mut text = MANIFEST.get(start..start + length).context("a section outside the manifest")?.trim_end();
    while let Some((before, last)) = text.rsplit_once('\n')
        && last.starts_with('#')
    {
        text = before.trim_end();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn text(folder: &Path, path: &str) -> String {
        fs::read_to_string(folder.join(path)).unwrap()
    }

    #[test]
    fn a_new_folder_holds_the_sources_that_are_built_in() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("mine");
        run(&folder, &mut Vec::new()).unwrap();
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        for (here, there) in [
            ("policy/src/lib.rs", "plugin/src/lib.rs"),
            ("policy/rules/src/login/tests/open.rs", "plugin/rules/src/login/tests/open.rs"),
            ("policy/rules/src/settings.schema.json", "plugin/rules/src/settings.schema.json"),
            ("wit/policy.wit", "wit/policy.wit"),
            ("vectors.json", "plugin/vectors.json"),
            ("rust-toolchain.toml", "rust-toolchain.toml"),
        ] {
            assert_eq!(text(&folder, here), text(&root, there), "{here}");
        }
        let told = run(&folder, &mut Vec::new()).unwrap_err().to_string();
        assert!(told.contains("mine is not empty"), "{told}");
    }

    #[test]
    fn its_manifest_names_what_both_crates_use_and_nothing_else() {
        let manifest: toml::Table = manifest().unwrap().parse().unwrap();
        let used = |text: &str| {
            let table: toml::Table = text.parse().unwrap();
            let sections = ["dependencies", "dev-dependencies"].into_iter().filter_map(|name| table.get(name));
            sections.flat_map(|section| section.as_table().unwrap().keys().cloned()).collect::<Vec<_>>()
        };
        let mut expected = [used(COMPONENT), used(RULES)].concat();
        expected.sort_unstable();
        expected.dedup();
        let workspace = &manifest["workspace"];
        let named: Vec<_> = workspace["dependencies"].as_table().unwrap().keys().cloned().collect();
        assert_eq!(named, expected);
        let original: toml::Table = MANIFEST.parse().unwrap();
        assert_eq!(workspace["package"], original["workspace"]["package"]);
        assert_eq!(workspace["lints"], original["workspace"]["lints"]);
        let (mut profile, release) = (original["profile"]["component"].clone(), &manifest["profile"]["release"]);
        profile.as_table_mut().unwrap().remove("inherits");
        assert_eq!(release, &profile);
    }
}
