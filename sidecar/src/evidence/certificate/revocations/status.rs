//! What an operator sees of the lists.

use super::{Inner, Suspension};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::crl::Number;

/// In what state a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListState {
    /// Before its nextUpdate.
    Current,
    /// Past it, and usable.
    Stale,
    /// Past it for longer than is allowed: says of nobody that he is good.
    Unusable,
    /// There is none.
    Missing,
}

impl ListState {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Unusable => "unusable",
            Self::Missing => "missing",
        }
    }
}

/// The list of one authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStatus {
    /// Name of the chain.
    pub chain: String,
    /// Subject of the authority, RFC 4514.
    pub authority: String,
    /// In what state.
    pub state: ListState,
    /// Its number; `None`: there is no list.
    pub number: Option<Number>,
    /// When it was made.
    pub this_update: Option<UnixSeconds>,
    /// Until when it holds.
    pub next_update: Option<UnixSeconds>,
    /// How many certificates it revokes.
    pub entries: usize,
    /// When it last came from its address.
    pub fetched_at: Option<UnixSeconds>,
    /// Code of what went wrong with the last fetch; `None` where it went well, or its address is not yet known.
    pub error: Option<&'static str>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Name of the chain.
    pub chain: String,
    /// The address.
    pub url: String,
    /// Subject of the authority whose list came from it; `None`: none came yet.
    pub authority: Option<String>,
    /// Code of what went wrong with the last fetch.
    pub error: Option<&'static str>,
    /// The same in words.
    pub message: Option<String>,
}

/// The picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationsStatus {
    /// One for each authority of each chain.
    pub lists: Vec<ListStatus>,
    /// One for each address.
    pub sources: Vec<SourceStatus>,
    /// The suspension, while it lasts.
    pub suspended: Option<Suspension>,
    /// Chains whose lists Dovecot itself enforces.
    pub enforced_by_dovecot: Vec<String>,
    /// Code of what went wrong with Dovecot's files or its reload.
    pub dovecot_error: Option<&'static str>,
}

pub(super) fn of(inner: &Inner, now: UnixSeconds) -> RevocationsStatus {
    let chains = &inner.chains.0;
    let enforced = chains.iter().map(|chain| chain.name()).filter(|name| super::dovecot::enforces(inner, name, now));
    RevocationsStatus {
        lists: lists(inner, now),
        sources: inner.sources.iter().filter_map(|source| source.status(inner)).collect(),
        suspended: inner.suspensions.at(now),
        enforced_by_dovecot: enforced.map(str::to_owned).collect(),
        dovecot_error: inner.dovecot.as_ref().and_then(super::dovecot::Dovecot::error),
    }
}

fn lists(inner: &Inner, now: UnixSeconds) -> Vec<ListStatus> {
    let mut lists = Vec::new();
    for (at, (chain, held)) in inner.chains.0.iter().zip(&inner.held).enumerate() {
        for (place, (authority, held)) in chain.authorities().iter().zip(held).enumerate() {
            let held = held.load();
            let list = held.as_ref().map(|held| &held.list);
            lists.push(ListStatus {
                chain: chain.name().to_owned(),
                authority: authority.certificate().subject().to_owned(),
                state: list.map_or(ListState::Missing, |list| inner.state(list, now)),
                number: list.map(|list| list.number()),
                this_update: list.map(|list| list.this_update()),
                next_update: list.map(|list| list.next_update()),
                entries: list.map_or(0, |list| list.entries()),
                fetched_at: held.as_ref().map(|held| held.fetched_at),
                error: inner.sources.iter().find_map(|source| source.error_of(at, place)),
            });
        }
    }
    lists
}
