//! Test vectors, of whoever wrote the policy and of the operator.

use octroi::trial::vectors::{MAX_VECTORS, Vectors};

pub(crate) const SEEDS: &[&[u8]] = &[
    br#"{"settings":{"issuers":[]},"logins":[{"name":"a","now":1,"token":"a.b.c","expect":{"deny":"token-malformed"}}]}"#,
    br#"{"logins":[{"name":"a","now":1,"mechanism":"XOAUTH2","message":"user=u\u0001auth=Bearer {token}\u0001\u0001","header":{"alg":"RS256"},"payload":{"exp":1},"introspection":{"active":{"subject":"s"}},"mailboxes":[{"address":"a@b.test","kind":"per"}],"expect":{"allow":["a@b.test"]}}]}"#,
    br#"{"logins":[{"name":"a","now":1,"mechanism":"PLAIN","response":"AGE=","introspection":"inactive","expect":{"unavailable":"policy-trapped"}}]}"#,
    br#"{"submissions":[{"name":"a","stage":"rcpt","login":"a@b.test","sender":"","encryption":"tls11","expect":"allow"},{"name":"b","stage":"end-of-message","login":"a@b.test","expect":{"deny":"sender-refused"}}]}"#,
    br#"{"logins":[{"name":"a","now":1,"expect":{"deny":"x"}}]}"#,
    b"[]",
    b"{",
];

/// What is read can be shown, and is read again where it is written.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(vectors) = Vectors::read(bytes) else { return };
    assert!(vectors.count() <= MAX_VECTORS);
    assert!(vectors.logins.iter().all(|login| login.attempt().is_ok()));
    let written = serde_json::to_vec(&vectors).expect("it can be written");
    let again = Vectors::read(&written).expect("it is read as it is written");
    // Claims are whatever JSON holds; a number in them may lose its last digit.
    assert_eq!(again.submissions, vectors.submissions);
    assert_eq!(again.certificates, vectors.certificates);
    let answers = |vectors: &Vectors| -> Vec<_> { vectors.logins.iter().map(|login| login.expect.clone()).collect() };
    assert_eq!(answers(&again), answers(&vectors));
}
