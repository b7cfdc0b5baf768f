//! `octroi policy pack`: from what a compiler leaves to a component that imports nothing and carries its vectors. And
//! `export`: the component that is built in, as a file.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use wasmparser::{Parser, Payload};

use super::candidate::{MODULE, whole};
use crate::policy::{Digest, EMBEDDED, Engine, Limits, LoadError, MAX_COMPONENT, Release, file};
use crate::trial::vectors::{MAX_DOCUMENT, Vectors};
use crate::trial::{SECTION, carried};

/// Largest core module, bytes: names of functions and debugging information may weigh much more than the code.
const MAX_MODULE: usize = 64 << 20;
/// Where a policy is to be compiled for.
const TARGET: &str = "wasm32-unknown-unknown";

/// Packs `from` into `to`.
pub(super) fn run(from: &Path, to: &Path, vectors: &[PathBuf], output: &mut impl Write) -> anyhow::Result<()> {
    let read = file(from, MAX_MODULE)?;
    let packed = packed(&read, together(vectors)?.as_deref());
    let packed = packed.with_context(|| from.display().to_string())?;
    let carried = carried(&packed)?;
    let described = described(&packed, carried.as_ref()).with_context(|| from.display().to_string())?;
    fs::write(to, &packed).with_context(|| to.display().to_string())?;
    let count = carried.map_or(0, |vectors| vectors.count());
    writeln!(output, "{}: {described}, {} bytes, carries {count} vectors", to.display(), packed.len())?;
    writeln!(output, "component {}", Digest::of(&packed))?;
    Ok(())
}

/// One document of several, which need the same settings. A single one stays as it is written.
fn together(files: &[PathBuf]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut whole: Option<(Vec<u8>, Vectors)> = None;
    for path in files {
        let text = file(path, MAX_DOCUMENT)?;
        let read = Vectors::read(&text).with_context(|| path.display().to_string())?;
        whole = Some(match whole {
            None => (text, read),
            Some((_, mut vectors)) => {
                let expected = "expected vectors for the same settings as those before";
                ensure!(vectors.settings == read.settings, "{}: {expected}", path.display());
                vectors.logins.extend(read.logins);
                vectors.submissions.extend(read.submissions);
                vectors.certificates.extend(read.certificates);
                let text = serde_json::to_vec(&vectors)?;
                (text, vectors)
            }
        });
    }
    let whole = whole.map(|(text, _)| Vectors::read(&text).map(|_| text).context("all vectors together"));
    whole.transpose()
}

/// Writes the built-in policy to a file.
pub(super) fn export(to: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    fs::write(to, EMBEDDED).with_context(|| to.display().to_string())?;
    writeln!(output, "{}: the built-in policy\ncomponent {}", to.display(), Digest::of(EMBEDDED))?;
    Ok(())
}

/// A component of a core module or of a component, with these vectors in the place of those that it carried.
fn packed(read: &[u8], vectors: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
    let stripped = if vectors.is_some() { without_vectors(read)? } else { read.to_vec() };
    let mut component = if read.starts_with(MODULE) {
        ensure_pure(&module_imports(read)?)?;
        octroi_encode::component(&stripped)?
    } else {
        stripped
    };
    ensure_pure(&octroi_encode::imports(&component).context("expected a core module or a component")?)?;
    if let Some(vectors) = vectors {
        ensure!(
            carried(&component)?.is_none(),
            "a core module within the component carries vectors already: pack that module"
        );
        octroi_encode::carry(&mut component, vectors);
    }
    let size = component.len();
    ensure!(size <= MAX_COMPONENT, "the component has {size} bytes, the sidecar takes at most {MAX_COMPONENT}");
    Ok(component)
}

fn ensure_pure(imports: &[String]) -> anyhow::Result<()> {
    ensure!(
        imports.is_empty(),
        "a policy imports nothing, this one imports {}; build it for {TARGET}, and without what asks for a clock, \
         randomness, files or a network",
        imports.join(", ")
    );
    Ok(())
}

/// What a core module imports, as `module name`.
fn module_imports(module: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut imports = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(section) = payload? {
            for import in section.into_imports() {
                let import = import?;
                imports.push(format!("{} {}", import.module, import.name));
            }
        }
    }
    Ok(imports)
}

/// The same bytes without the sections of the outermost level that hold vectors.
fn without_vectors(read: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (mut kept, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for payload in Parser::new(0).parse_all(read) {
        let payload = payload?;
        if depth == 0 {
            let end = match &payload {
                Payload::Version { range, .. } => Some(range.end),
                payload => payload.as_section().map(|(_, range)| range.end),
            };
            // Of sections without gaps between them, each begins where the one before ends.
            if let Some(end) = end {
                let vectors = matches!(&payload, Payload::CustomSection(section) if section.name() == SECTION);
                kept.extend_from_slice(if vectors { &[] } else { read.get(start..end).context("cut short")? });
                start = end;
            }
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    ensure!(start == read.len(), "cut short");
    Ok(kept)
}

/// Name and version, from a policy that exports the whole world.
fn described(component: &[u8], vectors: Option<&Vectors>) -> anyhow::Result<String> {
    let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("the engine: {error:#}"))?;
    let settings = vectors.and_then(|vectors| vectors.settings.clone()).unwrap_or_default();
    let settings = serde_json::Value::from(whole(settings, &[])).to_string();
    match Release::load(&engine, component, &settings) {
        Ok(release) => Ok(format!("{} {}", release.card().name, release.card().version)),
        // Which settings it wants is its own affair; it exports the world and has read them.
        Err(LoadError::Settings(_)) => Ok("a policy with settings of its own kind".to_owned()),
        Err(error) => bail!(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::author::candidate::{BUILT_IN, Candidate};

    /// A core module with what stands in `sections`, each with its identifier, and lengths of five bytes as linkers
    /// leave them.
    fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let mut module = MODULE.to_vec();
        for (id, content) in sections {
            let length = u8::try_from(content.len()).unwrap();
            module.extend([*id, length & 0x7f | 0x80, length >> 7 | 0x80, 0x80, 0x80, 0]);
            module.extend(*content);
        }
        module
    }

    fn section(vectors: &[u8]) -> Vec<u8> {
        [&[u8::try_from(SECTION.len()).unwrap()], SECTION.as_bytes(), vectors].concat()
    }

    fn told(result: anyhow::Result<Vec<u8>>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn vectors_take_the_place_of_those_that_were_carried_and_of_nothing_else() {
        let other =
            json!({ "logins": [{ "name": "x", "now": 1, "token": "a.b.c", "expect": { "deny": "too-large" } }] });
        let other = other.to_string();
        let once = packed(EMBEDDED, Some(other.as_bytes())).unwrap();
        assert_eq!(carried(&once).unwrap(), Some(Vectors::read(other.as_bytes()).unwrap()));
        let own = serde_json::to_vec(&carried(EMBEDDED).unwrap().unwrap()).unwrap();
        let back = packed(&once, Some(&own)).unwrap();
        assert_eq!(carried(&back).unwrap(), carried(EMBEDDED).unwrap());
        assert_eq!(without_vectors(&back).unwrap(), without_vectors(EMBEDDED).unwrap());
        assert_eq!(packed(EMBEDDED, None).unwrap(), EMBEDDED);
    }

    #[test]
    fn a_module_may_carry_vectors_and_loses_them_to_others() {
        let (bare, carrying) = (module(&[]), module(&[(0, &section(b"{}")), (0, b"\x01a"), (0, &section(b"{}"))]));
        assert_eq!(without_vectors(&carrying).unwrap(), module(&[(0, b"\x01a")]));
        assert_eq!(carried(&packed(&carrying, None).unwrap()).unwrap(), Some(Vectors::default()));
        assert_eq!(carried(&packed(&bare, Some(b"{}")).unwrap()).unwrap(), Some(Vectors::default()));
        // Of a finished component that module can't be taken out again.
        let nested = packed(&carrying, None).unwrap();
        assert!(told(packed(&nested, Some(b"{}"))).contains("pack that module"));
    }

    #[test]
    fn several_documents_become_one_if_their_settings_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, settings: i32| {
            let path = folder.path().join(name);
            let login = json!({ "name": name, "now": 1, "token": "a.b.c", "expect": { "deny": "too-large" } });
            fs::write(&path, json!({ "settings": { "x": settings }, "logins": [login] }).to_string()).unwrap();
            path
        };
        let [a, b, other] = [write("a", 1), write("b", 1), write("other", 2)];
        let whole = Vectors::read(&together(&[a.clone(), b]).unwrap().unwrap()).unwrap();
        assert_eq!(whole.logins.iter().map(|login| login.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(together(std::slice::from_ref(&a)).unwrap().unwrap(), fs::read(&a).unwrap());
        let told = together(&[a, other]).unwrap_err().to_string();
        assert!(told.contains("other: expected vectors for the same settings"), "{told}");
        assert_eq!(together(&[]).unwrap(), None);
    }

    #[test]
    fn what_imports_anything_is_named_and_refused() {
        let wasi = b"\x01\x16wasi_snapshot_preview1\x08fd_write\0\0";
        let module = module(&[(1, &[1, 0x60, 0, 0]), (2, wasi)]);
        let told = told(packed(&module, None));
        assert!(
            told.contains("imports wasi_snapshot_preview1 fd_write; build it for wasm32-unknown-unknown"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        assert!(told(packed(b"(module)", None)).contains("expected a core module or a component"));
        assert!(told(packed(b"(module)", Some(b"{}"))).contains("magic"));
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("empty.wasm"), folder.path().join("policy.wasm"));
        fs::write(&from, module(&[])).unwrap();
        let told = format!("{:#}", run(&from, &to, &[], &mut Vec::new()).unwrap_err());
        assert!(told.contains("does not export the world octroi:policy/policy@0.2.0") && !to.exists(), "{told}");
    }

    #[test]
    fn the_built_in_policy_is_a_file_that_is_packed_again_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (out, again) = (folder.path().join("built-in.wasm"), folder.path().join("again.wasm"));
        let mut output = Vec::new();
        export(&out, &mut output).unwrap();
        run(&out, &again, &[], &mut output).unwrap();
        let told = String::from_utf8(output).unwrap();
        assert!(told.contains("again.wasm: pro-sante-connect ") && told.contains("carries "), "{told}");
        let read = |path: &Path| Candidate::read(path, None).unwrap().statement();
        assert_eq!(read(&again), read(Path::new(BUILT_IN)));
    }
}
