//! What the tickets ask of the gate, as values: `app` plugs in the gate, a test plugs in an answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::evidence::directory::MailboxAddress;
use crate::gate::{Attempt, Decision, Gate, Outcome};

/// A login that was allowed, and what it is worth at any later moment.
#[derive(Clone)]
pub struct Standing(Arc<dyn Fn(&MailboxAddress) -> Outcome + Send + Sync>);

impl Standing {
    /// A login that `judge` judges again.
    pub fn new(judge: impl Fn(&MailboxAddress) -> Outcome + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// Whether it would be allowed now, for this one mailbox.
    #[must_use]
    pub fn judge_again(&self, mailbox: &MailboxAddress) -> Outcome {
        (self.0)(mailbox)
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing(..)")
    }
}

type Judging = Pin<Box<dyn Future<Output = (Decision, Option<Standing>)> + Send>>;

/// Judges logins that are to stand for a while. In service this is the gate, and nothing else.
#[derive(Clone)]
pub struct StandingJudge(Arc<dyn Fn(Attempt) -> Judging + Send + Sync>);

impl StandingJudge {
    /// A judge that asks `judge`. An allow without a [`Standing`] gives no ticket.
    pub fn new<J, F>(judge: J) -> Self
    where
        J: Fn(Attempt) -> F + Send + Sync + 'static,
        F: Future<Output = (Decision, Option<Standing>)> + Send + 'static,
    {
        Self(Arc::new(move |attempt| Box::pin(judge(attempt))))
    }

    /// The decision on one attempt, and what stands of an allowed one.
    pub async fn judge(&self, attempt: Attempt) -> (Decision, Option<Standing>) {
        (self.0)(attempt).await
    }
}

impl From<Arc<Gate>> for StandingJudge {
    fn from(gate: Arc<Gate>) -> Self {
        Self::new(move |attempt| {
            let gate = Arc::clone(&gate);
            async move {
                let (decision, basis) = gate.authenticate_to_stand(&attempt).await;
                let standing = basis.map(|basis| Standing::new(move |mailbox| gate.judge_again(&basis, mailbox)));
                (decision, standing)
            }
        })
    }
}

impl fmt::Debug for StandingJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandingJudge(..)")
    }
}
