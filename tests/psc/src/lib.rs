//! A stand-in Pro Santé Connect for tests, demonstrations and people who try a mail client.
//!
//! Owns a realm shaped like the real one (paths, claims, lifetimes) with invented people, and every departure from it
//! that a test may want: bad tokens, faults, a clock that is wrong. It listens on loopback and must never be mistaken
//! for a provider: it asks nobody for a password.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let psc = octroi_psc::Psc::start().await?;
//! let token = psc.token(&octroi_psc::doctor_one()).deviate(octroi_psc::Deviation::Expired)?.mint();
//! # Ok(()) }
//! ```

mod assertion;
mod bounded;
mod client;
mod clock;
mod deviation;
mod encode;
mod endpoints;
mod fault;
mod form;
mod identity;
mod keys;
mod port;
mod psc;
mod realm;
mod server;
mod shape;
pub mod state_dir;
mod tls;
mod token;

pub use client::{Client, OPERATOR, PUBLIC_CLIENT, Shown};
pub use clock::Clock;
pub use deviation::{Deviation, SESSION_TOTAL};
pub use endpoints::{Endpoint, REALM_PATH};
pub use fault::{Fault, Hold, HoldingPoint};
pub use form::Form as Parameters;
pub use identity::{Identity, MAILBOX_DOMAIN, directory_csv, doctor_one, doctor_two, identities, secretary, vendor};
pub use keys::{Algorithm, Keys, SigningKey};
pub use port::listen_on_a_free_port;
pub use psc::{Builder, Psc};
pub use realm::{CODE_LIFETIME, IntrospectionCall, REFRESH_LIFETIME, Said};
pub use shape::{Form, Seal};
pub use tls::{ClientCertificate, ServerCertificate, Validity};
pub use token::{ACCESS_LIFETIME, DEFAULT_AZP, FEDERATION, Token};
