//! The contract, as tests that every store must pass.

use super::*;
use crate::evidence::certificate::StructureId;
use crate::evidence::directory::{CertificateLimits, IdNat, MailboxKind, Person};
use crate::evidence::trust_space::DomainName;

/// Runs the whole contract; `reopen` closes the store and opens the same one again.
pub(super) async fn holds<S: Store>(mut store: S, reopen: impl Fn(S) -> S) {
    an_empty_store_is_empty(&store).await;
    a_directory_comes_back_as_it_went_in(&store).await;
    store = reopen(store);
    assert_eq!(store.load_directory().await.unwrap(), directory());
    a_replacement_replaces_everything(&store).await;
    the_latest_authentication_wins(&store).await;
    store = reopen(store);
    pages_follow_the_order_of_addresses(&store).await;
    authentications_outlive_the_mailbox(&store).await;
    a_list_of_the_trust_space_comes_back_as_it_went_in(&store).await;
    store = reopen(store);
    assert_eq!(store.load_trust_space().await.unwrap(), Some(trust_list(&["b.test", "c.test"], 20)));
    certificates_come_back_and_keep_their_dates(&store).await;
    store = reopen(store);
    assert_eq!(store.load_certificates().await.unwrap().whole.len(), 3);
    a_withdrawal_is_for_good(&store).await;
    store = reopen(store);
    assert_eq!(withdrawn(&store, b"one").await, Some(UnixSeconds(30)));
}

fn certificate(der: &[u8], enrolled_at: u64) -> StoredCertificate {
    StoredCertificate { der: der.to_vec(), enrolled_at: UnixSeconds(enrolled_at), withdrawn_at: None }
}

async fn withdrawn(store: &impl Store, der: &[u8]) -> Option<UnixSeconds> {
    let all = store.load_certificates().await.unwrap().whole;
    all.into_iter().find(|stored| stored.der == der).unwrap().withdrawn_at
}

async fn certificates_come_back_and_keep_their_dates(store: &impl Store) {
    assert_eq!(store.load_certificates().await.unwrap().whole, vec![]);
    store.enrol(vec![certificate(b"one", 10), certificate(b"two", 10)]).await.unwrap();
    store.enrol(vec![certificate(b"two", 20), certificate(b"three", 20)]).await.unwrap();
    let mut expected = vec![certificate(b"one", 10), certificate(b"two", 10), certificate(b"three", 20)];
    expected.sort_by_key(|stored| Fingerprint::of(&stored.der));
    assert_eq!(store.load_certificates().await.unwrap().whole, expected);
}

async fn a_withdrawal_is_for_good(store: &impl Store) {
    assert!(!store.withdraw(Fingerprint::of(b"nobody's"), UnixSeconds(30)).await.unwrap());
    assert!(store.withdraw(Fingerprint::of(b"one"), UnixSeconds(30)).await.unwrap());
    assert!(!store.withdraw(Fingerprint::of(b"one"), UnixSeconds(40)).await.unwrap());
    store.enrol(vec![certificate(b"one", 50)]).await.unwrap();
    assert_eq!(withdrawn(store, b"one").await, Some(UnixSeconds(30)));
    assert_eq!(withdrawn(store, b"two").await, None);
    assert_eq!(store.load_certificates().await.unwrap().whole.len(), 3);
}

async fn a_list_of_the_trust_space_comes_back_as_it_went_in(store: &impl Store) {
    assert_eq!(store.load_trust_space().await.unwrap(), None);
    for list in [trust_list(&["a.test", "b.test"], 10), trust_list(&["b.test", "c.test"], 20)] {
        store.replace_trust_space(list.clone()).await.unwrap();
        assert_eq!(store.load_trust_space().await.unwrap(), Some(list));
    }
}

fn trust_list(domains: &[&str], imported: u64) -> TrustList {
    let domains = domains.iter().map(|domain| DomainName::parse(domain).unwrap()).collect();
    TrustList { generated: format!("edition {imported}"), imported: UnixSeconds(imported), domains }
}

async fn an_empty_store_is_empty(store: &impl Store) {
    assert_eq!(store.load_directory().await.unwrap(), vec![]);
    assert_eq!(store.last_authentications(page("", 10)).await.unwrap(), vec![]);
}

async fn a_directory_comes_back_as_it_went_in(store: &impl Store) {
    store.replace_directory(directory()).await.unwrap();
    assert_eq!(store.load_directory().await.unwrap(), directory());
}

async fn a_replacement_replaces_everything(store: &impl Store) {
    let mut changed = directory();
    changed.remove(0);
    changed[0].persons.reverse();
    changed[0].aliases.clear();
    changed[0].structures.reverse();
    changed[0].certificates = CertificateLimits::none();
    store.replace_directory(changed.clone()).await.unwrap();
    assert_eq!(store.load_directory().await.unwrap(), changed);
    store.replace_directory(vec![]).await.unwrap();
    assert_eq!(store.load_directory().await.unwrap(), vec![]);
    store.replace_directory(directory()).await.unwrap();
}

async fn the_latest_authentication_wins(store: &impl Store) {
    for (at, means) in [(100, Means::Psc), (300, Means::Mechanism("PLAIN".to_owned())), (200, Means::Psc)] {
        store.record_authentication(authentication("b@x.test", at, means)).await.unwrap();
    }
    store.record_authentication(authentication("b@x.test", 50, Means::Mechanism("PLAIN".to_owned()))).await.unwrap();
    let listed = store.last_authentications(page("a@x.test", 1)).await.unwrap();
    assert_eq!(listed[0].mailbox.as_str(), "b@x.test");
    assert_eq!(listed[0].last, Some((UnixSeconds(300), Means::Mechanism("PLAIN".to_owned()))));
}

async fn pages_follow_the_order_of_addresses(store: &impl Store) {
    let first = store.last_authentications(page("", 2)).await.unwrap();
    assert_eq!(first.iter().map(|l| l.mailbox.as_str()).collect::<Vec<_>>(), ["a@x.test", "b@x.test"]);
    assert_eq!(first[0].last, None);
    let rest = store.last_authentications(page("b@x.test", 2)).await.unwrap();
    assert_eq!(rest.iter().map(|l| l.mailbox.as_str()).collect::<Vec<_>>(), ["c@x.test"]);
    assert!(store.last_authentications(page("c@x.test", 2)).await.unwrap().is_empty());
}

async fn authentications_outlive_the_mailbox(store: &impl Store) {
    store.replace_directory(vec![]).await.unwrap();
    store.replace_directory(directory()).await.unwrap();
    let listed = store.last_authentications(page("a@x.test", 1)).await.unwrap();
    assert_eq!(listed[0].last.as_ref().unwrap().0, UnixSeconds(300));
}

pub(super) fn authentication(mailbox: &str, at: u64, means: Means) -> Authentication {
    Authentication { mailbox: MailboxAddress::parse(mailbox).unwrap(), at: UnixSeconds(at), means }
}

pub(super) fn page(after: &str, limit: u32) -> Page {
    Page { after: after.to_owned(), limit }
}

/// One mailbox of each kind, with synonyms and aliases.
pub(super) fn directory() -> Vec<Mailbox> {
    let id = |text: &str| IdNat::parse(text).unwrap();
    let address = |text: &str| MailboxAddress::parse(text).unwrap();
    let structure = |text: &str| StructureId::parse(text).unwrap();
    vec![
        Mailbox {
            address: address("a@x.test"),
            kind: MailboxKind::Per,
            persons: vec![Person { id: id("899700000011"), synonyms: vec![id("0750011"), id("0750012")] }],
            aliases: vec![address("a.b@x.test")],
            structures: vec![],
            certificates: CertificateLimits::none(),
        },
        Mailbox {
            address: address("b@x.test"),
            kind: MailboxKind::Org,
            persons: vec![
                Person { id: id("500000000000017/CPAT00001"), synonyms: vec![] },
                Person { id: id("899700000011"), synonyms: vec![id("0750011")] },
            ],
            aliases: vec![address("z@x.test"), address("y@x.test")],
            structures: vec![structure("499700367909006"), structure("318751275100020")],
            certificates: CertificateLimits {
                common_names: vec!["DRIMbox".to_owned(), "b, \u{e9}".to_owned()],
                issuers: vec!["CN=AC,OU=0002 187512751".to_owned()],
                fingerprints: vec![Fingerprint::of(b"two"), Fingerprint::of(b"one")],
            }
            .shared(),
        },
        Mailbox {
            address: address("c@x.test"),
            kind: MailboxKind::App,
            persons: vec![],
            aliases: vec![],
            structures: vec![structure("318751275100020")],
            certificates: CertificateLimits::none(),
        },
    ]
}
