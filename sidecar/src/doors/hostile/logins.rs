//! The SASL door.

use super::*;

#[tokio::test]
async fn the_good_dialogues_are_good_over_both_sockets() {
    for login in LOGINS {
        let doors = Doors::open();
        assert!(doors.said(Which::Sasl, &text(login)).await.ends_with("OK\t1\tuser=a@x.test"));
        assert_eq!(doors.store.recorded().len(), 2);
        assert!(doors.joins.find(4711, "a@x.test", NOW).is_some(), "TCP: the process that the client names");
        assert!(doors.joins.find(std::process::id(), "a@x.test", NOW).is_some(), "unix: the one that the kernel names");
        let doors = Doors::open();
        log_in(&doors);
        assert_eq!(doors.said(Which::Delegation, &block(QUESTION)).await, "action=DUNNO\n");
    }
}

#[tokio::test]
async fn a_login_cut_off_anywhere_is_never_judged() {
    let doors = Doors::open();
    for login in LOGINS {
        let whole = text(login);
        for length in 0..whole.len() {
            let said = doors.said(Which::Sasl, &whole[..length]).await;
            assert!(!said.contains("\nOK"), "{length}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn a_login_with_a_nul_or_a_byte_beyond_ascii_anywhere_is_never_judged() {
    let doors = Doors::open();
    for login in LOGINS {
        let whole = text(login);
        for (at, strange) in (0..whole.len()).flat_map(|at| [(at, &b"\0"[..]), (at, b"\xc3\xa9"), (at, b"\xff")]) {
            let said = doors.said(Which::Sasl, &with(&whole, at, strange)).await;
            assert!(!said.contains("\nOK"), "{at}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn an_over_long_line_of_a_login_closes_the_connection() {
    let doors = Doors::open();
    let long = vec![b'a'; 64 * 1024];
    for login in LOGINS {
        let whole = text(login);
        for (end, _) in whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let said = doors.said(Which::Sasl, &with(&whole, end, &long)).await;
            assert!(!said.contains("\nOK"), "{end}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn a_login_in_any_other_order_is_never_judged() {
    let doors = Doors::open();
    for login in LOGINS {
        for order in orders(login).into_iter().filter(|order| order != login) {
            let said = doors.said(Which::Sasl, &text(&order)).await;
            assert!(!said.contains("\nOK"), "{order:?}: {said}");
        }
        for missing in 0..login.len() {
            let rest: Vec<&str> = [&login[..missing], &login[missing + 1..]].concat();
            let said = doors.said(Which::Sasl, &text(&rest)).await;
            assert!(!said.contains("\nOK"), "{rest:?}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn a_duplicated_line_of_a_login_gives_it_nothing_more() {
    let doors = Doors::open();
    for login in LOGINS {
        for twice in 0..login.len() {
            let lines: Vec<&str> = [&login[..=twice], &login[twice..]].concat();
            let said = doors.said(Which::Sasl, &text(&lines)).await;
            let accepted = said.matches("\nOK").count();
            // Two sockets asked: each accept stands for one message that was judged, and was good.
            assert_eq!(doors.judged(), vec!["good"; 2 * accepted], "{lines:?}");
            let handshake = twice < 2;
            assert!(accepted == 0 || !handshake, "{lines:?}: {said}");
        }
    }
}

#[tokio::test]
async fn no_other_message_is_ever_accepted() {
    let doors = Doors::open();
    let [login, _] = LOGINS;
    let whole = text(login);
    // A line end anywhere cuts a line in two, each of which is then complete.
    for at in 0..whole.len() {
        let said = doors.said(Which::Sasl, &with(&whole, at, b"\n")).await;
        let judged = doors.judged();
        let accepted = after_greeting(&said).lines().filter(|line| line.starts_with("OK")).count();
        assert_eq!(judged.iter().filter(|message| *message == "good").count(), 2 * accepted, "{at}: {judged:?}");
    }
}
