//! Shows the honest rules another attempt than the one that was made.
//!
//! Owns edits that keep every length, so that the spans which the rules answer fit the true attempt as well.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::login::{Attempt, Credentials};

/// The attempt with those dates of the token's payload replaced by `date`, as far as they have as many digits. What
/// can't be read stays as it is.
#[must_use]
pub fn redated(attempt: &Attempt, names: &[&str], date: u64) -> Attempt {
    let mut forged = attempt.clone();
    let edit = |token: &[u8]| edited(token, names, date);
    match &mut forged.credentials {
        Credentials::Bearer(token) => *token = edit(token).unwrap_or_else(|| token.clone()),
        Credentials::Sasl(message) => {
            let edited = STANDARD.decode(&message.response).ok().and_then(|mut bytes| {
                let start = find(&bytes, b"auth=Bearer ")? + b"auth=Bearer ".len();
                let rest = bytes.get_mut(start..)?;
                let end = rest.iter().position(|&byte| byte == 1)?;
                let token = rest.get_mut(..end)?;
                token.copy_from_slice(&edit(token)?);
                Some(STANDARD.encode(bytes).into_bytes())
            });
            message.response = edited.unwrap_or_else(|| message.response.clone());
        }
    }
    forged
}

/// Where in a decoded OAUTHBEARER message the value of `host` stands: offset and bytes.
#[must_use]
pub fn host_field(attempt: &Attempt) -> Option<(usize, Vec<u8>)> {
    let Credentials::Sasl(message) = &attempt.credentials else { return None };
    let bytes = STANDARD.decode(&message.response).ok()?;
    let start = find(&bytes, b"\x01host=")? + b"\x01host=".len();
    let value = bytes.get(start..)?.split(|&byte| byte == 1).next()?;
    Some((start, value.to_vec()))
}

/// The token with the dates replaced, as long as before.
fn edited(token: &[u8], names: &[&str], date: u64) -> Option<Vec<u8>> {
    let mut parts = token.split(|&byte| byte == b'.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let mut payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let digits = date.to_string().into_bytes();
    for name in names {
        let key = format!("\"{name}\":").into_bytes();
        let Some(start) = find(&payload, &key).map(|at| at + key.len()) else { continue };
        let old = payload.get_mut(start..)?;
        let length = old.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == digits.len() {
            old.get_mut(..length)?.copy_from_slice(&digits);
        }
    }
    let payload = URL_SAFE_NO_PAD.encode(payload).into_bytes();
    Some([header, &payload, signature].join(&b'.'))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
