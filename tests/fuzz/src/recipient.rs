//! Whether a recipient is in the trust space: `RCPT TO` as the mail client wrote it.

use std::sync::LazyLock;

use octroi::clock::UnixSeconds;
use octroi::evidence::trust_space::{DomainName, TrustList};
use regex::Regex;

pub(crate) const SEEDS: &[&[u8]] = &[
    b"docteur.un@chu.mssante.fr",
    b"A+b@CHU.MSSante.fr",
    b"a@xn--d-bga.test",
    "a@d\u{e9}.test".as_bytes(),
    "\u{e9}@chu.mssante.fr".as_bytes(),
    b"a@mssante.fr",
    b"a@x.chu.mssante.fr",
    b"a%evil.test@chu.mssante.fr",
    b"evil.test!a@chu.mssante.fr",
    b"@evil.test,@chu.mssante.fr:a@chu.mssante.fr",
    b"\"a@evil.test\"@chu.mssante.fr",
    b"a@chu.mssante.fr.",
    b"a@[127.0.0.1]",
];

/// Who is inside and wholly ASCII, as an operator would write it down.
static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^[^%!@:,;"\\<>()\[\]\s\x00-\x1f\x7f]+@(?i:chu\.mssante\.fr|xn--d-bga\.test)$"#).expect("it parses")
});

static LIST: LazyLock<TrustList> = LazyLock::new(|| {
    let domains = ["chu.mssante.fr", "xn--d-bga.test"].map(|name| DomainName::parse(name).expect("a name"));
    TrustList { generated: "today".into(), imported: UnixSeconds(1), domains: domains.into() }
});

pub(crate) fn run(bytes: &[u8]) {
    let Ok(recipient) = str::from_utf8(bytes) else { return };
    let inside = LIST.holds(recipient);
    if recipient.is_ascii() {
        assert_eq!(inside, INSIDE.is_match(recipient));
    } else if inside {
        // What stands for a name that is listed says the same when it is written out.
        let (local, domain) = recipient.rsplit_once('@').expect("a recipient has a domain");
        let domain = DomainName::parse(domain).expect("a listed domain is one");
        assert!(LIST.domains.contains(&domain) && LIST.holds(&format!("{local}@{}", domain.as_str())));
    }
    if let Ok(name) = DomainName::parse(recipient) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        assert!(name.as_str().len() <= 253 && name.as_str().bytes().all(plain));
        assert_eq!(DomainName::parse(name.as_str()), Ok(name));
    }
}
