//! Every target over its seeds, over each of them cut off anywhere, and over what a fixed rule makes of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use octroi_fuzz::{TARGETS, Target};

/// Changed seeds for each seed.
const CHANGED: usize = 500;

/// What the protocols give a meaning to.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\x01",
    b"\t",
    b"\n",
    b"\n\n",
    b"\r",
    b" ",
    b"=",
    b"@",
    b",",
    b".",
    b"+",
    b"%",
    b"!",
    b"\"",
    b"\\",
    b"<",
    b"/>",
    b"&",
    b";",
    b":",
    b"{",
    b"}",
    b"0",
    b"-1",
    b"4294967296",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"TOKEN",
];

/// Numbers that are the same at every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap()
    }
}

/// `bytes` with up to four changes.
fn changed(bytes: &[u8], others: &[&[u8]], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(4) {
        let from = numbers.below(bytes.len() + 1);
        let to = from + numbers.below((bytes.len() - from).min(12) + 1);
        let piece = match numbers.below(4) {
            0 => Vec::new(),
            1 => PIECES[numbers.below(PIECES.len())].to_vec(),
            2 => bytes[from..to].repeat(2),
            _ => {
                let other = others[numbers.below(others.len())];
                let begins = numbers.below(other.len() + 1);
                other[begins..begins + numbers.below(other.len() - begins + 1)].to_vec()
            }
        };
        bytes.splice(from..to, piece);
    }
    bytes
}

fn holds(target: &Target, bytes: &[u8]) {
    let held = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    assert!(held.is_ok(), "{}: {}", target.name, bytes.escape_ascii());
}

#[test]
fn every_target_holds_for_its_seeds_cut_off_and_changed() {
    for target in TARGETS {
        assert!(!target.seeds.is_empty(), "{}", target.name);
        let mut numbers = Numbers(0x6f63_7472_6f69);
        for seed in target.seeds {
            for length in 0..=seed.len() {
                holds(target, &seed[..length]);
            }
            for _ in 0..CHANGED {
                holds(target, &changed(seed, target.seeds, &mut numbers));
            }
        }
    }
}

/// A frame over the limit, which no search grows to in a minute.
#[test]
fn the_doors_for_postfix_hold_for_frames_about_their_limit() {
    let frames: [(&str, &[u8], &[u8], usize); 2] = [
        ("sasl", b"VERSION\t1\t0\nCPID\t1\nAUTH\t1\tXOAUTH2\tresp=", b"\nAUTH\t2\tXOAUTH2\n", 16 * 1024),
        ("delegation", b"request=smtpd_access_policy\nprotocol_state=MAIL\nsender=", b"\n\n", 64 * 1024),
    ];
    for (name, before, after, limit) in frames {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        for length in limit - 80..limit + 80 {
            let mut bytes = before.to_vec();
            bytes.resize(before.len() + length, b'a');
            holds(target, &[&bytes, after].concat());
        }
    }
}

#[test]
fn make_fuzz_runs_every_target() {
    let script = include_str!("../run.sh");
    let named = script.lines().find_map(|line| line.strip_prefix("targets='")).unwrap().trim_end_matches('\'');
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(named.split(' ').collect::<Vec<_>>(), names);
}
