//! Both doors, and very many connections.

use super::*;

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let doors = Doors::open();
    log_in(&doors);
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(doors.connect(Which::Sasl).await);
        idle.push(doors.connect(Which::Delegation).await);
    }
    let begun = tokio::time::Instant::now();
    assert!(doors.said(Which::Sasl, &text(LOGINS[0])).await.ends_with("OK\t1\tuser=a@x.test"));
    assert_eq!(doors.said(Which::Delegation, &block(QUESTION)).await, "action=DUNNO\n");
    assert!(begun.elapsed() < PATIENCE && idle.len() == 1_000);
}

#[tokio::test]
async fn floods_of_broken_connections_keep_nobody_out() {
    let doors = Arc::new(Doors::open());
    let mut flood = JoinSet::new();
    for number in 0..100 {
        let doors = Arc::clone(&doors);
        flood.spawn(async move {
            let which = if number % 2 == 0 { Which::Sasl } else { Which::Delegation };
            let said = doors.said(which, &vec![b'x'; 1 << 20]).await;
            assert!(!said.contains("\nOK") && !said.contains("DUNNO"), "{said}");
        });
    }
    let good = doors.said(Which::Sasl, &text(LOGINS[0])).await;
    assert!(good.ends_with("OK\t1\tuser=a@x.test"), "{good}");
    while let Some(ended) = flood.join_next().await {
        ended.unwrap();
    }
}
