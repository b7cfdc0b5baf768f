//! The gate's health (grpc.health.v1): whether somebody's token can be judged, as `/readyz` says it too. A sidecar
//! whose health is bad lives and answers; whoever balances load between several may prefer another one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Says whether the gate can judge anybody's token now.
pub(super) type Readiness = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often it is asked: keys go stale by the passing of time alone, of which nobody is told.
const PERIOD: Duration = Duration::from_secs(1);

/// Keeps the health of the whole server and of `service` at what `readiness` says; it is at `before`.
pub(super) async fn follow(health: &HealthReporter, service: &str, readiness: Readiness, before: bool) -> Infallible {
    let mut ticks = interval(PERIOD);
    let mut told = before;
    loop {
        ticks.tick().await;
        let ready = readiness();
        if ready != told {
            tell(health, service, ready).await;
            told = ready;
        }
    }
}

/// Says the health of the whole server and of `service`.
pub(super) async fn tell(health: &HealthReporter, service: &str, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in ["", service] {
        health.set_service_status(name, status).await;
    }
}
