//! Both doors in the sidecar's place, to answer what a sound sidecar never would: the configuration must hold by
//! itself.
//!
//! Owns a thread and a port. Must never be lenient about what Dovecot sends: secret, method and form are checked.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use octroi_tests::dovecot::Door;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What to say to one token.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A member of these mailboxes, with a fresh handle.
    Member(Vec<String>),
    /// This status and body; `@HANDLE@` becomes a fresh handle.
    Raw(u16, String),
    /// Nothing, for as long as the connection stands.
    Silence,
    /// The connection closes.
    Close,
}

/// What to say to the auth-policy question about one token.
#[derive(Clone)]
pub(crate) enum Verdict {
    /// As the sidecar does: 0 for an unused handle, else -1.
    Handle,
    /// This status and body.
    Raw(u16, String),
    /// Nothing.
    Silence,
    /// The connection closes.
    Close,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, (Answer, Verdict)>,
    /// The token behind each handle that was given out, and whether it is used.
    handles: HashMap<String, (String, bool)>,
    introspected: HashMap<String, usize>,
    questions: Vec<Value>,
    faults: Vec<String>,
}

/// Both doors on one port.
pub(crate) struct Fake {
    port: u16,
    state: Arc<Mutex<State>>,
    _stop: oneshot::Sender<()>,
}

static COUNTER: AtomicU64 = AtomicU64::new(1);

impl Fake {
    /// Serves from a thread of its own, so that it outlives the runtime of any one test.
    pub(crate) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! { () = serve(listener, shared) => {}, _ = stopped => {} }
            });
        });
        Ok(Self { port, state, _stop: stop })
    }

    pub(crate) fn introspection(&self) -> Door {
        Door { port: self.port, secret: "intro-secret_1".to_owned() }
    }

    pub(crate) fn policy(&self) -> Door {
        Door { port: self.port, secret: "policy-secret_2".to_owned() }
    }

    /// A token of its own for one test, about `size` bytes long, and what is said to it.
    pub(crate) fn token(&self, size: usize, answer: Answer, verdict: Verdict) -> String {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let token = format!("token-{number:06}.{}", "x".repeat(size.saturating_sub(13)));
        self.lock().answers.insert(token.clone(), (answer, verdict));
        token
    }

    /// How often a token was asked about.
    pub(crate) fn introspections(&self, token: &str) -> usize {
        self.lock().introspected.get(token).copied().unwrap_or_default()
    }

    /// From now on, what is said to a token.
    pub(crate) fn change(&self, token: &str, answer: Answer) {
        self.lock().answers.insert(token.to_owned(), (answer, Verdict::Handle));
    }

    /// The auth-policy questions (`allow` or `report`) so far that carried a handle of that token.
    pub(crate) fn questions(&self, command: &str, token: &str) -> Vec<Value> {
        let state = self.lock();
        let of_token = |question: &&Value| {
            let handle = question["handle"].as_str().unwrap_or_default();
            question["command"] == command && state.handles.get(handle).is_some_and(|(owner, _)| owner == token)
        };
        state.questions.iter().filter(of_token).cloned().collect()
    }

    /// All of them, whatever their handle.
    pub(crate) fn all_questions(&self, command: &str) -> Vec<Value> {
        self.lock().questions.iter().filter(|question| question["command"] == command).cloned().collect()
    }

    /// Requests that Dovecot should never have sent.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &state));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error from the service closes the connection without an answer.
async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Result<Response<Full<Bytes>>, std::fmt::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let secret = match head.uri.path() {
        "/introspect" => "introspection:intro-secret_1",
        _ => "policy:policy-secret_2",
    };
    let expected = format!("Basic {}", STANDARD.encode(secret));
    let authorized = head.headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == expected.as_bytes());
    if head.method != Method::POST || !authorized {
        lock(state).faults.push(format!("{} {} authorized: {authorized}", head.method, head.uri));
        return reply(401, String::new());
    }
    match head.uri.path() {
        "/introspect" => introspect(&body, state).await,
        _ => judge(head.uri.query().unwrap_or_default(), &body, state).await,
    }
}

async fn introspect(body: &[u8], state: &Mutex<State>) -> Result<Response<Full<Bytes>>, std::fmt::Error> {
    let form: HashMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
    let token = form.get("token").cloned().unwrap_or_default();
    let handle = format!("h-{:012x}", COUNTER.fetch_add(1, Ordering::Relaxed));
    let answer = {
        let mut state = lock(state);
        *state.introspected.entry(token.clone()).or_default() += 1;
        state.handles.insert(handle.clone(), (token.clone(), false));
        state.answers.get(&token).map(|(answer, _)| answer.clone())
    };
    match answer {
        Some(Answer::Member(mailboxes)) => reply(200, active(&pattern(&mailboxes), &handle)),
        Some(Answer::Raw(status, body)) => reply(status, body.replace("@HANDLE@", &handle)),
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::Close) => Err(std::fmt::Error),
        None => reply(200, r#"{"active":false}"#.to_owned()),
    }
}

async fn judge(query: &str, body: &[u8], state: &Mutex<State>) -> Result<Response<Full<Bytes>>, std::fmt::Error> {
    let command = query.strip_prefix("command=").unwrap_or_default();
    let verdict = {
        let mut state = lock(state);
        let Ok(mut question) = serde_json::from_slice::<Value>(body) else {
            state.faults.push("a question that is not JSON".to_owned());
            return reply(400, String::new());
        };
        question["command"] = command.into();
        let handle = question["handle"].as_str().unwrap_or_default().to_owned();
        let token_mechanism = matches!(question["mech"].as_str(), Some("XOAUTH2" | "OAUTHBEARER"));
        state.questions.push(question);
        if command != "allow" || !token_mechanism {
            return reply(200, r#"{"status":0,"msg":""}"#.to_owned());
        }
        let token = match state.handles.get_mut(&handle) {
            Some((token, used)) if !*used => {
                *used = true;
                Some(token.clone())
            }
            Some(_) | None => None,
        };
        token.and_then(|token| state.answers.get(&token)).map(|(_, verdict)| verdict.clone())
    };
    match verdict {
        Some(Verdict::Handle) => reply(200, r#"{"status":0,"msg":""}"#.to_owned()),
        Some(Verdict::Raw(status, body)) => reply(status, body),
        Some(Verdict::Silence) => std::future::pending().await,
        Some(Verdict::Close) => Err(std::fmt::Error),
        None => reply(200, r#"{"status":-1,"msg":""}"#.to_owned()),
    }
}

/// The positive answer, in the sidecar's exact shape.
pub(crate) fn active(username: &str, handle: &str) -> String {
    serde_json::json!({"active": true, "scope": "octroi", "username": username, "handle": handle}).to_string()
}

/// The set of mailboxes as Dovecot reads it.
pub(crate) fn pattern(mailboxes: &[String]) -> String {
    let escape = |mailbox: &String| {
        mailbox.chars().map(|c| if c == '.' { "[.]".to_owned() } else { c.to_string() }).collect::<String>()
    };
    format!("^({})$", mailboxes.iter().map(escape).collect::<Vec<_>>().join("|"))
}

fn reply(status: u16, body: String) -> Result<Response<Full<Bytes>>, std::fmt::Error> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)));
    response.map_err(|_| std::fmt::Error)
}
