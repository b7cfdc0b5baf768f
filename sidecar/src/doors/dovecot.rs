//! The two doors that Dovecot knocks at over HTTP: `/introspect` and `/policy`, on one loopback listener.
//!
//! Here stands what both share: the path, the method and the secret. Each door has a secret of its own, which Dovecot
//! carries as the userinfo of its URL and which arrives as HTTP Basic (RFC 7617). Without it a local user learns and
//! changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, header};

use super::answer::{INACTIVE, Rendered};
use super::dovecot_introspection::IntrospectionDoor;
use super::dovecot_policy::{Command, PolicyDoor};
use super::http::{Answer, Door, answer};
use crate::secret::Secret;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=us-ascii";

/// Both doors and their secrets.
#[derive(Debug)]
pub struct DovecotDoors {
    introspection: IntrospectionDoor,
    introspection_secret: Secret,
    policy: PolicyDoor,
    policy_secret: Secret,
}

impl DovecotDoors {
    /// Puts the doors behind their secrets (`[dovecot] introspection_secret_file`, `policy_secret_file`).
    #[must_use]
    pub const fn new(
        introspection: IntrospectionDoor,
        introspection_secret: Secret,
        policy: PolicyDoor,
        policy_secret: Secret,
    ) -> Self {
        Self { introspection, introspection_secret, policy, policy_secret }
    }

    /// The after-auth door, for the operator's view of its counters.
    #[must_use]
    pub const fn policy(&self) -> &PolicyDoor {
        &self.policy
    }
}

/// What an admitted request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Judge a token.
    Introspect,
    /// Judge, or hear of, a login.
    Policy(Command),
}

impl Door for DovecotDoors {
    type Purpose = Purpose;

    fn admit(&self, head: &Parts) -> Result<Purpose, Box<Answer>> {
        let (user, secret) = match head.uri.path() {
            "/introspect" => ("introspection", &self.introspection_secret),
            "/policy" => ("policy", &self.policy_secret),
            _ => return Err(answer(StatusCode::NOT_FOUND, TEXT, "").into()),
        };
        if !shows(&head.headers, user, secret) {
            return Err(unauthorized().into());
        }
        if head.method != Method::POST {
            let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "");
            refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
            return Err(refusal.into());
        }
        if user == "introspection" {
            return Ok(Purpose::Introspect);
        }
        let command = head.uri.query().and_then(Command::parse);
        command
            .map(Purpose::Policy)
            .ok_or_else(|| answer(StatusCode::BAD_REQUEST, TEXT, "command=allow or report").into())
    }

    async fn answer(&self, purpose: Purpose, head: Parts, body: Bytes) -> Answer {
        match purpose {
            Purpose::Introspect => rendered(self.introspection.introspect(&head.headers, &body).await),
            Purpose::Policy(Command::Allow) => rendered(self.policy.allow(&body).await),
            Purpose::Policy(Command::Report) => rendered(self.policy.report(&body)),
        }
    }

    fn unreadable(&self, purpose: Purpose, status: StatusCode) -> Answer {
        match purpose {
            // Dovecot reads a body of a 4xx: this one can never pass.
            Purpose::Introspect => answer(status, JSON, INACTIVE),
            Purpose::Policy(_) => answer(status, TEXT, ""),
        }
    }
}

/// No body: Dovecot takes that for an internal failure, and says so, instead of blaming the client's token for a
/// secret that the operator mistyped.
fn unauthorized() -> Answer {
    let mut refusal = answer(StatusCode::UNAUTHORIZED, TEXT, "");
    refusal.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        header::HeaderValue::from_static("Basic realm=\"octroi\", charset=\"UTF-8\""),
    );
    refusal
}

/// Whether the one `Authorization` header is Basic with this user and this secret.
fn shows(headers: &HeaderMap, user: &str, secret: &Secret) -> bool {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
    let Some((scheme, credentials)) = shown.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
    if !scheme.eq_ignore_ascii_case("Basic") {
        return false;
    }
    let Ok(credentials) = STANDARD.decode(credentials.trim_start_matches(' ')).map(zeroize::Zeroizing::new) else {
        return false;
    };
    let Some(colon) = credentials.iter().position(|b| *b == b':') else { return false };
    let (name, password) = credentials.split_at(colon);
    // The name is public; the comparison of the secret takes the same time wherever the first difference is.
    name == user.as_bytes() && secret.matches(password.get(1..).unwrap_or_default())
}

fn rendered((status, body): Rendered) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let content_type = if status.is_server_error() { TEXT } else { JSON };
    answer(status, content_type, body)
}

#[cfg(test)]
mod tests;
