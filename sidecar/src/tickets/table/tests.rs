use super::*;
use crate::gate::Outcome;
use crate::rails::Permit;

const NOW: UnixSeconds = UnixSeconds(1_000_000);
const LIMITS: TicketLimits = TicketLimits { life_seconds: 60, live: 4, live_per_person: 3 };

fn address(text: &str) -> MailboxAddress {
    MailboxAddress::parse(text).unwrap()
}

fn entry(person: &str) -> Entry {
    Entry {
        mailbox: address("a@x.test"),
        decision: DecisionId::example(),
        issuer: "https://psc.example.test/realm".into(),
        identity: IdNat::parse(person).unwrap(),
        standing: Standing::new(|mailbox| Outcome::Allow(Permit::example(&[mailbox.as_str()]))),
    }
}

fn issued(table: &Table, person: &str, now: UnixSeconds) -> TicketHash {
    table.issue(entry(person), now).unwrap().0.hash()
}

fn found(table: &Table, hash: TicketHash, mailbox: &str, now: UnixSeconds) -> Result<(), DenyReason> {
    table.find(hash, &address(mailbox), now).map(|_| ()).map_err(|(_, reason)| reason)
}

#[test]
fn a_ticket_is_found_until_it_is_taken_and_taken_once() {
    let table = Table::new(LIMITS);
    let hash = issued(&table, "1", NOW);
    assert_eq!(found(&table, hash, "a@x.test", NOW), Ok(()));
    assert_eq!(table.take(hash, NOW), Ok(()));
    assert_eq!(table.take(hash, NOW), Err(DenyReason::TicketUsed));
    assert_eq!(found(&table, hash, "a@x.test", NOW), Err(DenyReason::TicketUsed));
}

#[test]
fn another_mailbox_is_refused_and_leaves_the_ticket_good() {
    let table = Table::new(LIMITS);
    let hash = issued(&table, "1", NOW);
    assert_eq!(found(&table, hash, "b@x.test", NOW), Err(DenyReason::TicketMailbox));
    assert_eq!(found(&table, hash, "a@x.test", NOW), Ok(()));
}

#[test]
fn a_ticket_expires_at_the_end_of_its_life_and_is_forgotten_later() {
    let table = Table::new(LIMITS);
    let hash = issued(&table, "1", NOW);
    assert_eq!(found(&table, hash, "a@x.test", NOW.plus(59)), Ok(()));
    assert_eq!(found(&table, hash, "a@x.test", NOW.plus(60)), Err(DenyReason::TicketExpired));
    assert!(table.take(hash, NOW.plus(60)).is_err(), "an expired ticket was taken");
    let later = NOW.plus(60 + Table::REMEMBERED_SECONDS);
    assert_eq!(found(&table, hash, "a@x.test", later), Err(DenyReason::TicketUnknown));
    assert!(table.state().slots.is_empty());
}

#[test]
fn of_many_who_redeem_at_once_one_gets_in() {
    let table = Table::new(LIMITS);
    for _ in 0..50 {
        let hash = issued(&table, "1", NOW);
        let redeem = || table.find(hash, &address("a@x.test"), NOW).is_ok() && table.take(hash, NOW).is_ok();
        let in_all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(redeem)).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
        });
        assert_eq!(in_all, 1);
    }
}

#[test]
fn a_full_table_issues_no_more_and_drops_no_live_ticket() {
    let table = Table::new(LIMITS);
    let live: Vec<_> = ["1", "1", "2", "2"].map(|person| issued(&table, person, NOW)).into();
    assert_eq!(table.issue(entry("3"), NOW).unwrap_err(), UnavailableReason::Overloaded);
    for hash in &live {
        assert_eq!(found(&table, *hash, "a@x.test", NOW), Ok(()));
    }
    table.take(live[0], NOW).unwrap();
    issued(&table, "3", NOW);
    assert!(table.issue(entry("3"), NOW).is_err());
    // What has expired makes room as well.
    for _ in 0..3 {
        issued(&table, "3", NOW.plus(60));
    }
}

#[test]
fn one_person_can_not_fill_the_table() {
    let table = Table::new(LIMITS);
    let own: Vec<_> = (0..3).map(|_| issued(&table, "1", NOW)).collect();
    assert_eq!(table.issue(entry("1"), NOW).unwrap_err(), UnavailableReason::Overloaded);
    issued(&table, "2", NOW);
    table.take(own[0], NOW).unwrap();
    issued(&table, "1", NOW);
}

#[test]
fn a_flood_of_logins_grows_nothing() {
    let table = Table::new(LIMITS);
    for person in 0..1_000 {
        let hash = issued(&table, &person.to_string(), NOW);
        table.take(hash, NOW).unwrap();
    }
    let state = table.state();
    assert!(state.slots.len() <= 8 && state.issued.len() <= 8 && state.spent.len() <= 4, "{state:?}");
    assert!(state.live_of.is_empty() && state.live == 0, "{state:?}");
}

#[test]
fn debug_shows_neither_the_person_nor_a_ticket() {
    let table = Table::new(LIMITS);
    let (ticket, _) = table.issue(entry("899700000011"), NOW).unwrap();
    let (text, shown) = (ticket.expose(), format!("{table:?}"));
    let bits = text.strip_prefix("ticket-").unwrap();
    assert!(!shown.contains("899700000011") && !shown.contains(bits), "{shown}");
}
