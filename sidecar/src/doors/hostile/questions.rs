//! The delegation door.

use super::*;

#[tokio::test]
async fn a_question_cut_off_anywhere_is_never_answered() {
    let doors = Doors::open();
    log_in(&doors);
    let whole = block(QUESTION);
    for length in 0..whole.len() {
        assert_eq!(doors.said(Which::Delegation, &whole[..length]).await, "", "{length}");
    }
    assert_eq!(doors.messages.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_question_with_a_nul_anywhere_or_an_over_long_line_is_never_answered() {
    let doors = Doors::open();
    log_in(&doors);
    let (whole, long) = (block(QUESTION), vec![b'a'; 80 * 1024]);
    for at in 0..whole.len() {
        assert_eq!(doors.said(Which::Delegation, &with(&whole, at, b"\0")).await, "", "{at}");
        if whole[at] == b'\n' {
            assert_eq!(doors.said(Which::Delegation, &with(&whole, at, &long)).await, "", "{at}");
        }
    }
    assert_eq!(doors.messages.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn attributes_may_come_in_any_order_and_those_that_are_read_only_once() {
    let doors = Doors::open();
    log_in(&doors);
    for first in 0..QUESTION.len() {
        let mut turned = QUESTION.to_vec();
        turned.rotate_left(first);
        assert_eq!(doors.said(Which::Delegation, &block(&turned)).await, "action=DUNNO\n", "{turned:?}");
    }
    let judged = doors.messages.swap(0, Ordering::SeqCst);
    assert_eq!(judged, 2 * QUESTION.len());
    for line in QUESTION {
        let twice = [QUESTION, &[*line]].concat();
        let is_read = !line.starts_with("protocol_name");
        let expected = if is_read { "" } else { "action=DUNNO\n" };
        assert_eq!(doors.said(Which::Delegation, &block(&twice)).await, expected, "{line}");
    }
}

#[tokio::test]
async fn a_question_without_an_attribute_or_with_half_a_line_lets_nothing_through_that_it_should_not() {
    let doors = Doors::open();
    log_in(&doors);
    for missing in ["request", "protocol_state", "sasl_username"] {
        let rest: Vec<&str> = QUESTION.iter().copied().filter(|line| !line.starts_with(missing)).collect();
        let said = doors.said(Which::Delegation, &block(&rest)).await;
        assert!(!said.contains("DUNNO"), "{missing}: {said}");
    }
    for at in 0..QUESTION.len() {
        let (name, _) = QUESTION[at].split_once('=').unwrap();
        let mut half = QUESTION.to_vec();
        half[at] = name;
        assert_eq!(doors.said(Which::Delegation, &block(&half)).await, "", "{name}");
    }
    assert_eq!(doors.messages.load(Ordering::SeqCst), 0);
}
