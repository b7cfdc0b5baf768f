use super::*;
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::directory::MailboxAddress;
use crate::evidence::import::Surroundings;
use crate::evidence::trust_space::TrustSpace;
use crate::proto::mailboxes_client::MailboxesClient;
use crate::proto::probe_client::ProbeClient;
use crate::proto::trust_space_client::TrustSpaceClient;
use crate::store::{Authentication, Means, Sqlite};

const FILE: &str = "address,kind,persons,aliases\na@x.test,PER,1,\nb@x.test,ORG,1|2,c@x.test\nd@x.test,APP,,\n";

/// Mailboxes and probe services on a socket of their own.
struct Served {
    store: Arc<dyn Store>,
    directory: Directory,
    trust_space: TrustSpace,
    channel: tonic::transport::Channel,
    _folder: tempfile::TempDir,
}

async fn served(probes: Option<Arc<Probes>>) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&folder.path().join("store")).unwrap());
    let directory = Directory::default();
    let importer = Importer::new(Arc::clone(&store), directory.clone(), Surroundings::default());
    let service = MailboxesService { importer, directory: directory.clone(), store: Arc::clone(&store) };
    let trust_space = TrustSpace::default();
    let clock = Clock::manual(UnixSeconds(1_000));
    let lists = TrustSpaceImporter::new(Arc::clone(&store), trust_space.clone(), clock);
    let path = folder.path().join("admin.sock");
    let door = UnixDoor::bind(&path, &[rustix::process::getuid().as_raw()]).unwrap();
    let (router, _) = server("octroi.v1.Mailboxes").await;
    let router = router
        .add_service(MailboxesServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .add_service(TrustSpaceServer::new(lists).max_decoding_message_size(MAX_REQUEST))
        .add_service(ProbeServer::new(ProbeService(probes)));
    tokio::spawn(router.serve_with_incoming(door.incoming()));
    let socket = format!("unix:{}", path.display());
    let channel = tonic::transport::Endpoint::new(socket).unwrap().connect().await.unwrap();
    Served { store, directory, trust_space, channel, _folder: folder }
}

fn import(csv: &str, dry_run: bool) -> proto::ImportRequest {
    proto::ImportRequest { csv: csv.as_bytes().to_vec(), dry_run }
}

#[tokio::test]
async fn an_import_is_stored_and_published_and_tells_what_it_changed() {
    let served = served(None).await;
    let mut client = MailboxesClient::new(served.channel.clone());
    let dry = client.import(import(FILE, true)).await.unwrap().into_inner();
    assert_eq!((dry.total, dry.added), (3, 3));
    assert!(served.directory.snapshot().mailboxes().is_empty());
    client.import(import(FILE, false)).await.unwrap();
    assert_eq!(served.store.load_directory().await.unwrap(), served.directory.snapshot().mailboxes());
    let changed = "address,kind,persons,aliases\na@x.test,PER,3,\nb@x.test,ORG,1|2,c@x.test\ne@x.test,APP,,\n";
    let second = client.import(import(changed, false)).await.unwrap().into_inner();
    assert_eq!((second.total, second.added, second.changed, second.removed), (3, 1, 1, 1));
    assert_eq!(served.directory.snapshot().of_person("3").count(), 1);
    assert_eq!(served.directory.snapshot().mailbox("d@x.test"), None);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_tells_every_bad_line() {
    let served = served(None).await;
    let mut client = MailboxesClient::new(served.channel.clone());
    client.import(import(FILE, false)).await.unwrap();
    let before = served.directory.snapshot().mailboxes().to_vec();
    let bad = format!("{FILE}{}", "bad,BAD,,\n".repeat(15_000));
    let status = client.import(import(&bad, false)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("30000 problems"));
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations.len(), 20);
    assert!(violations[0].description.starts_with("line 5, column 1 (address): "));
    let dry = client.import(import(&bad, true)).await.unwrap().into_inner();
    assert_eq!((dry.problem_count, dry.problems.len()), (30_000, 10_000));
    assert_eq!(served.directory.snapshot().mailboxes(), before);
    assert_eq!(served.store.load_directory().await.unwrap(), before);
}

fn list(domains: &[&str], date: &str) -> proto::ImportTrustSpaceRequest {
    let entries: String = domains.iter().map(|name| format!("<Domaine><Nom>{name}</Nom></Domaine>\n")).collect();
    let namespace = crate::evidence::trust_space::document::NAMESPACE;
    let xml = format!("<L xmlns='{namespace}'><DateDeGeneration>{date}</DateDeGeneration>\n{entries}</L>");
    proto::ImportTrustSpaceRequest { xml: xml.into_bytes(), dry_run: false, leave_out_invalid: false }
}

#[tokio::test]
async fn a_list_of_the_trust_space_is_stored_and_published_and_tells_what_it_changed() {
    let served = served(None).await;
    let mut client = TrustSpaceClient::new(served.channel.clone());
    let dry = proto::ImportTrustSpaceRequest { dry_run: true, ..list(&["a.test", "b.test"], "one") };
    assert_eq!(client.import(dry).await.unwrap().into_inner().added, 2);
    assert!(served.trust_space.list().is_none());
    client.import(list(&["a.test", "b.test"], "one")).await.unwrap();
    let second = client.import(list(&["b.test", "c.test", "d.test"], "two")).await.unwrap().into_inner();
    assert_eq!((second.generated.as_str(), second.total, second.added, second.removed), ("two", 3, 2, 1));
    let published = served.trust_space.list().unwrap();
    assert_eq!((published.holds("x@c.test"), published.holds("x@a.test")), (true, false));
    assert_eq!(served.store.load_trust_space().await.unwrap().as_ref(), Some(&*published));
}

#[tokio::test]
async fn a_bad_list_of_the_trust_space_changes_nothing_and_tells_every_bad_line() {
    let served = served(None).await;
    let mut client = TrustSpaceClient::new(served.channel.clone());
    client.import(list(&["a.test"], "one")).await.unwrap();
    let before = served.trust_space.list();
    let bad = list(&["b.test", "no domain", "nor this"], "two");
    let status = client.import(bad.clone()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let violations = status.get_error_details().bad_request().unwrap().field_violations.clone();
    assert!(violations[0].description.starts_with("line 3: "), "{violations:?}");
    let dry = proto::ImportTrustSpaceRequest { dry_run: true, ..bad.clone() };
    assert_eq!(client.import(dry).await.unwrap().into_inner().problem_count, 2);
    assert_eq!(
        (served.trust_space.list(), served.store.load_trust_space().await.unwrap()),
        (before.clone(), before.map(Arc::unwrap_or_clone))
    );
    let rest = proto::ImportTrustSpaceRequest { leave_out_invalid: true, ..bad };
    let rest = client.import(rest).await.unwrap().into_inner();
    assert_eq!((rest.total, rest.left_out, rest.remarks.len()), (1, 2, 2));
}

#[tokio::test]
async fn mailboxes_are_listed_page_by_page() {
    let served = served(None).await;
    let mut client = MailboxesClient::new(served.channel.clone());
    client.import(import(FILE, false)).await.unwrap();
    let mailbox = MailboxAddress::parse("b@x.test").unwrap();
    let authentication = Authentication { mailbox, at: UnixSeconds(42), means: Means::Psc };
    served.store.record_authentication(authentication).await.unwrap();
    let request = proto::ListMailboxesRequest { after: String::new(), limit: 2 };
    let page = client.list(request).await.unwrap().into_inner();
    assert_eq!(page.next, "b@x.test");
    let listed = &page.mailboxes[1];
    assert_eq!((listed.address.as_str(), listed.kind.as_str()), ("b@x.test", "ORG"));
    assert_eq!((listed.persons, listed.last_authentication), (2, 42));
    let request = proto::ListMailboxesRequest { after: page.next, limit: 2 };
    let page = client.list(request).await.unwrap().into_inner();
    assert_eq!((page.mailboxes.len(), page.next.as_str()), (1, ""));
}

#[tokio::test]
async fn a_probe_needs_a_canary() {
    let none = served(None).await;
    let status = ProbeClient::new(none.channel.clone()).issue(proto::IssueProbeRequest {}).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    let address = |text| MailboxAddress::parse(text).unwrap();
    let probes = Arc::new(Probes::new(address("canary@x.test"), address("nobody@x.test")));
    let some = served(Some(Arc::clone(&probes))).await;
    let issued = ProbeClient::new(some.channel.clone()).issue(proto::IssueProbeRequest {}).await.unwrap().into_inner();
    assert_eq!((issued.canary.as_str(), issued.non_member.as_str()), ("canary@x.test", "nobody@x.test"));
    assert_eq!(probes.take(issued.token.as_bytes()), Some(probes.canary()));
}
