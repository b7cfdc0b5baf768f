//! Says on its card what would rewrite an operator's terminal.

use octroi_guests::{Hostile, card, hostile, manifest};

struct BadCard;

impl Hostile for BadCard {
    fn describe() -> manifest::Card {
        manifest::Card { name: "\u{1b}[2Jtrusted".into(), ..card() }
    }
}

hostile!(BadCard);
