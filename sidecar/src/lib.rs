//! Octroi: the sidecar that stands between Dovecot, Postfix and Pro Sante Connect.
//!
//! A login comes in at a door ([`doors`]), is judged by the [`gate`], and nowhere else: the policy component
//! ([`policy`]) asks and decides, [`evidence`] proves, [`rails`] hold. Dependencies run that way only.

pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doors;
pub mod durable;
pub mod evidence;
pub mod gate;
pub mod http;
pub mod metrics;
pub mod policy;
pub mod proto;
pub mod pseudonym;
pub mod rails;
pub mod reason;
pub mod recording;
pub mod releases;
pub mod secret;
pub mod sources;
pub mod store;
pub mod throttle;
pub mod tickets;
pub mod trial;
