use super::super::contract;
use super::*;

fn kept(folder: &Path) -> u64 {
    let connection = Connection::open(folder.join("octroi.sqlite")).unwrap();
    connection.query_row("SELECT coalesce(max(at), 0) FROM authentication", [], |row| row.get::<_, i64>(0)).unwrap()
        as u64
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Sqlite::open(&folder.path().join("store")).unwrap();
    contract::holds(open(), |store| {
        drop(store);
        open()
    })
    .await;
}

#[tokio::test]
async fn folder_and_files_are_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Sqlite::open(&path).unwrap();
    store.replace_directory(contract::directory()).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(files.len() >= 3, "database, log and shared memory");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn many_writers_are_all_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(folder.path()).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for at in 1..=2000 {
        let store = Arc::clone(&store);
        tasks.spawn(
            async move { store.record_authentication(contract::authentication("a@x.test", at, Means::Psc)).await },
        );
    }
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(kept(folder.path()), 2000);
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("octroi.sqlite"), b"not a database, and longer than a hundred bytes ".repeat(8))
        .unwrap();
    assert!(Sqlite::open(folder.path()).is_err());
}

#[tokio::test]
async fn an_impossible_row_is_told_and_mended_by_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    let by_hand = Connection::open(folder.path().join("octroi.sqlite")).unwrap();
    by_hand.execute("INSERT INTO mailbox VALUES ('nobody', 'PER')", []).unwrap();
    assert!(matches!(store.load_directory().await, Err(StoreError::Corrupt(_))));
    store.replace_directory(contract::directory()).await.unwrap();
    assert_eq!(store.load_directory().await.unwrap(), contract::directory());
}

/// A child process acknowledges one authentication after the other on its output and is killed in the midst of it:
/// whatever it acknowledged is there afterwards.
#[test]
fn a_kill_loses_no_acknowledged_authentication() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::acknowledging_child", "--ignored", "--nocapture"])
            .env("OCTROI_TEST_STORE", folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut first, mut acknowledged): (Option<u64>, u64) = (None, 0);
        for line in lines {
            if let Some(at) = line.unwrap().strip_prefix("acknowledged ") {
                acknowledged = at.parse().unwrap();
                first.get_or_insert(acknowledged);
            }
            if first.is_some_and(|first| acknowledged >= first + 150) {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(first.is_some_and(|first| acknowledged >= first + 150), "round {round}: the child ended early");
        assert!(kept(folder.path()) >= acknowledged, "round {round}: {acknowledged} was acknowledged");
        drop(Sqlite::open(folder.path()).unwrap());
    }
}

#[tokio::test]
#[ignore = "run by a_kill_loses_no_acknowledged_authentication, as its child"]
async fn acknowledging_child() {
    use std::io::Write as _;
    let folder = std::env::var_os("OCTROI_TEST_STORE").unwrap();
    let store = Sqlite::open(Path::new(&folder)).unwrap();
    let before = kept(Path::new(&folder)).div_ceil(1000) * 1000;
    for at in before + 1.. {
        store.record_authentication(contract::authentication("a@x.test", at, Means::Psc)).await.unwrap();
        writeln!(std::io::stdout(), "acknowledged {at}").unwrap();
    }
}

#[tokio::test]
async fn a_damaged_certificate_is_mended_by_enrolling_it_again_and_keeps_its_withdrawal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    let stored = |der: &[u8]| StoredCertificate { der: der.to_vec(), enrolled_at: UnixSeconds(7), withdrawn_at: None };
    let prints = [b"one", b"two"].map(|der| Fingerprint::of(der));
    store.enrol(vec![stored(b"one"), stored(b"two")]).await.unwrap();
    assert!(store.withdraw(prints[1], UnixSeconds(9)).await.unwrap());
    let by_hand = Connection::open(folder.path().join("octroi.sqlite")).unwrap();
    by_hand.execute("UPDATE certificate SET der = x'00'", []).unwrap();
    let mut damaged = store.load_certificates().await.unwrap().damaged;
    damaged.sort_by_key(|(_, withdrawn_at)| *withdrawn_at);
    assert_eq!(damaged, [(prints[0], None), (prints[1], Some(UnixSeconds(9)))]);
    store.enrol(vec![stored(b"one"), stored(b"two")]).await.unwrap();
    let mended = store.load_certificates().await.unwrap();
    assert!(mended.damaged.is_empty());
    let withdrawn = mended.whole.iter().filter(|one| one.withdrawn_at == Some(UnixSeconds(9)));
    assert_eq!((mended.whole.len(), withdrawn.count()), (2, 1));
}
