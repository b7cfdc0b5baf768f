//! Introspection, in simulated time against an issuer that answers as told, and on the wire against the stand-in.

mod assertions;
mod issuer;
mod memory;
mod outages;
mod wire;

use super::Introspected;

fn name(said: &Introspected) -> &'static str {
    match said {
        Introspected::Active(_) => "active",
        Introspected::Inactive => "inactive",
        Introspected::Unavailable => "unavailable",
    }
}
