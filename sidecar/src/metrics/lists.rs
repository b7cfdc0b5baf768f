//! Metrics of the revocation lists.

use std::fmt;

use super::exposition::Pen;
use crate::clock::UnixSeconds;
use crate::evidence::certificate::{ListStatus, RevocationsStatus};

type Labels<'a> = Vec<(&'static str, &'a str)>;

pub(super) fn write(pen: &mut Pen<'_>, status: &RevocationsStatus, now: UnixSeconds) -> fmt::Result {
    pen.gauge("crl_usable", "1 while the list may be used", {
        let usable = |list: &ListStatus| u64::from(matches!(list.state.code(), "current" | "stale"));
        status.lists.iter().map(move |list| (labels(list), usable(list)))
    })?;
    pen.gauge("crl_next_update_seconds", "Until the list's nextUpdate, 0 past it; absent where there is no list", {
        let dated = status.lists.iter().filter_map(|list| Some((list, list.next_update?)));
        dated.map(|(list, next_update)| (labels(list), next_update.since(now)))
    })?;
    pen.gauge("crl_entries", "Certificates that the list revokes", {
        status.lists.iter().map(|list| (labels(list), list.entries as u64))
    })?;
    let left = status.suspended.as_ref().map_or(0, |suspension| suspension.until.since(now));
    pen.gauge(
        "crl_suspended_seconds",
        "Until the suspension of the revocation check ends; 0: none",
        [(Vec::new(), left)],
    )
}

fn labels(list: &ListStatus) -> Labels<'_> {
    vec![("chain", &list.chain), ("authority", &list.authority)]
}
