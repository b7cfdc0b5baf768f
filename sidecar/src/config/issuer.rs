//! `[[issuer]]`: one provider of tokens, with the checks that need several of its keys.

use super::files::Base;
use super::reader::Section;
use super::{Asking, IntrospectionMode, Issuer, KeyHolding, KeySource, client, domain};

/// Reads one `[[issuer]]`. `None` where anything in it is wrong: the report has it.
pub(super) fn issuer(
    mut section: Section<'_, '_>,
    base: &Base<'_>,
    (holding, asking): (KeyHolding, Asking),
) -> Option<Issuer> {
    if !section.has("issuer") {
        section.missing("issuer", "an issuer", "write exactly what stands in the tokens' iss");
    }
    let issuer = section.parsed("issuer", "write exactly what stands in the tokens' iss", domain::issuer);
    let keys = key_source(&mut section, base);
    let ca_file = base.file(&mut section, "ca_file");
    let mailbox_domains = mailbox_domains(&mut section);
    let introspection = introspection(&mut section);
    let introspection_url =
        section.parsed("introspection_url", "write the https address of the endpoint", domain::endpoint);
    let client = client::client(&mut section, base, introspection);
    if introspection != IntrospectionMode::Off
        && introspection_url.is_none()
        && matches!(keys, Some(KeySource::JwksUrl(_) | KeySource::JwksFile(_)))
    {
        section.missing("introspection_url", "a URL", "write it: no discovery is read that could name it");
    }
    let (issuer, keys) = (issuer.map(|at| at.value), keys);
    section.finish();
    Some(Issuer {
        issuer: issuer?,
        keys: keys?,
        ca_file,
        mailbox_domains: mailbox_domains?,
        introspection,
        introspection_url: introspection_url.map(|at| at.value),
        client,
        holding,
        asking,
    })
}

fn key_source(section: &mut Section<'_, '_>, base: &Base<'_>) -> Option<KeySource> {
    const KEYS: [&str; 3] = ["discovery_url", "jwks_url", "jwks_file"];
    let given: Vec<&str> = KEYS.into_iter().filter(|key| section.has(key)).collect();
    let remedy = "write the https address of the document";
    let discovery = section.parsed("discovery_url", remedy, domain::endpoint);
    let jwks = section.parsed("jwks_url", remedy, domain::endpoint);
    let file = base.file(section, "jwks_file");
    if given.len() > 1 {
        let expected = format!("expected one source of keys, found {}", given.join(" and "));
        section.place().complain(section.report(), expected, "keep one, or none for discovery at the issuer");
        return None;
    }
    if given.is_empty() {
        return Some(KeySource::Discovery);
    }
    discovery
        .map(|at| KeySource::DiscoveryUrl(at.value))
        .or(jwks.map(|at| KeySource::JwksUrl(at.value)))
        .or(file.map(KeySource::JwksFile))
}

fn mailbox_domains(section: &mut Section<'_, '_>) -> Option<Vec<String>> {
    let remedy = "list the mail domains whose mailboxes this issuer's tokens may open";
    if !section.has("mailbox_domains") {
        section.missing("mailbox_domains", "a list of mail domains", remedy);
    }
    let list = section.list("mailbox_domains")?;
    if list.value.is_empty() {
        list.complain(section.report(), "expected at least one mail domain, found an empty list", remedy);
        return None;
    }
    let mut domains: Vec<String> = Vec::with_capacity(list.value.len());
    for text in &list.value {
        match domain::mail_domain(text.value) {
            Ok(domain) if domains.contains(&domain) => {
                text.complain(section.report(), format!("{domain} stands twice in the list"), "take one out");
            }
            Ok(domain) => domains.push(domain),
            Err(expected) => text.complain(section.report(), expected, "write the part after the @, in ASCII"),
        }
    }
    (domains.len() == list.value.len()).then_some(domains)
}

fn introspection(section: &mut Section<'_, '_>) -> IntrospectionMode {
    use IntrospectionMode::{Off, Preferred, Required};
    let choices = [("off", Off), ("preferred", Preferred), ("required", Required)];
    section.choice("introspection", &choices).map_or(Off, |at| at.value)
}
