//! Who wasted the sidecar's work, and is slowed for it.

use std::net::IpAddr;

use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::proto;
use crate::proto::throttle_server::Throttle as Service;
use crate::throttle::Throttle;

/// The `Throttle` service.
pub(super) struct ThrottleService(pub(super) Throttle);

#[tonic::async_trait]
impl Service for ThrottleService {
    async fn list(
        &self,
        _: Request<proto::ListThrottledRequest>,
    ) -> Result<Response<proto::ListThrottledResponse>, Status> {
        let origins = self.0.list().into_iter().map(|line| proto::ThrottledOrigin {
            origin: line.origin.to_string(),
            work: line.work.code().to_owned(),
            charged: line.charged,
            slowed_milliseconds: u64::try_from(line.slowed_for.as_millis()).unwrap_or(u64::MAX),
        });
        Ok(Response::new(proto::ListThrottledResponse { origins: origins.collect() }))
    }

    async fn clear(
        &self,
        request: Request<proto::ClearThrottledRequest>,
    ) -> Result<Response<proto::ClearThrottledResponse>, Status> {
        let origin = match request.into_inner().origin.as_str() {
            "" => None,
            text => Some(address(text).ok_or_else(malformed)?),
        };
        Ok(Response::new(proto::ClearThrottledResponse { cleared: self.0.clear(origin) }))
    }
}

/// An address, or an origin as the list shows it.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.strip_suffix("/64").unwrap_or(text).parse().ok()?;
    match address {
        IpAddr::V4(_) if text.ends_with("/64") => None,
        IpAddr::V4(_) | IpAddr::V6(_) => Some(address),
    }
}

fn malformed() -> Status {
    let expected = "expected an IP address, or an origin as the list shows it";
    Status::with_error_details(
        tonic::Code::InvalidArgument,
        expected,
        ErrorDetails::with_bad_request_violation("origin", expected),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::Work;

    #[tokio::test]
    async fn origins_are_listed_as_they_can_be_cleared() {
        let throttle = Throttle::default();
        let site: IpAddr = "2001:db8:1:2::7".parse().unwrap();
        for client in [site, [192, 0, 2, 1].into()] {
            for _ in 0..60 {
                throttle.charge(Work::Signature, Some(client));
            }
        }
        let service = ThrottleService(throttle.clone());
        let listed = service.list(Request::new(proto::ListThrottledRequest {})).await.unwrap().into_inner().origins;
        assert_eq!(
            listed.iter().map(|line| (line.work.as_str(), line.charged)).collect::<Vec<_>>(),
            [("signature", 60); 2]
        );
        assert!(listed.iter().all(|line| line.slowed_milliseconds > 0));
        let origin = listed.iter().map(|line| line.origin.clone()).find(|origin| origin.contains(':')).unwrap();
        let cleared = service.clear(Request::new(proto::ClearThrottledRequest { origin })).await.unwrap().into_inner();
        assert_eq!(cleared.cleared, 1);
        assert!(throttle.slowed_for(Work::Signature, Some(site)).is_zero());
        let all = proto::ClearThrottledRequest { origin: String::new() };
        assert_eq!(service.clear(Request::new(all)).await.unwrap().into_inner().cleared, 1);
        assert!(throttle.list().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_address_clears_nothing() {
        let throttle = Throttle::default();
        throttle.charge(Work::Signature, Some([192, 0, 2, 1].into()));
        let service = ThrottleService(throttle.clone());
        for origin in ["192.0.2.0/24", "192.0.2.1/64", "everybody", " "] {
            let request = Request::new(proto::ClearThrottledRequest { origin: origin.to_owned() });
            assert_eq!(service.clear(request).await.unwrap_err().code(), tonic::Code::InvalidArgument, "{origin}");
        }
        assert_eq!(throttle.list().len(), 1);
    }
}
