//! `octroi policy update`: what a timer runs.

use std::io::Write;
use std::path::Path;

use super::super::admin;
use super::{serves, staging};
use crate::policy::Bundle;
use crate::proto::policies_client::PoliciesClient;
use crate::proto::{ActivatePolicyRequest, ListPoliciesRequest, ListPoliciesResponse, RetirePolicyRequest};
use crate::releases::standing::KEPT;

/// Stages and activates a release, if the sidecar finds it newer. The one in service already: nothing to do.
///
/// # Errors
/// The sidecar's refusal; then what was in service still is.
pub(super) fn update(socket: &Path, bundle: Bundle, reason: &str, output: &mut impl Write) -> anyhow::Result<()> {
    let digest = bundle.statement().release().to_string();
    let reason = reason.to_owned();
    admin::ask(socket, |channel| async move {
        let mut client = PoliciesClient::new(channel);
        let list = client.list(ListPoliciesRequest {}).await.map_err(|status| admin::refusal(&status))?.into_inner();
        if list.active == digest {
            writeln!(output, "{digest} is in service already: nothing to do")?;
            return Ok(());
        }
        if !list.releases.iter().any(|kept| kept.digest == digest) {
            if let Some(release) = superseded(&list) {
                let request = RetirePolicyRequest { release: release.clone(), reason: reason.clone() };
                client.retire(request).await.map_err(|status| admin::refusal(&status))?;
                writeln!(output, "{release} is retired, to make room")?;
            }
            let request = staging(bundle, reason.clone(), true);
            client.stage(request).await.map_err(|status| admin::refusal(&status))?;
        }
        let request =
            ActivatePolicyRequest { release: digest, reason, only_newer: true, ..ActivatePolicyRequest::default() };
        let active = client.activate(request).await.map_err(|status| admin::refusal(&status))?.into_inner();
        serves(active.release.as_ref(), output)
    })
}

/// Where no room is left, the oldest release that the one in service has replaced: staged before it, and not what a
/// rollback goes back to, nor in the shadow or deciding for some. What was staged after it may still be meant to serve.
fn superseded(list: &ListPoliciesResponse) -> Option<String> {
    if list.releases.len() < KEPT {
        return None;
    }
    let digests = list.releases.iter().map(|kept| &kept.digest);
    let mut before = digests.take_while(|digest| **digest != list.active);
    let is_kept = list.releases.iter().any(|kept| kept.digest == list.active);
    let used = |digest: &str| list.shadow == digest || list.share.as_ref().is_some_and(|share| share.digest == digest);
    before.find(|digest| is_kept && **digest != list.previous && !used(digest)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::PolicyRelease;

    fn list(count: usize, active: &str, previous: &str) -> ListPoliciesResponse {
        let release = |number: usize| PolicyRelease { digest: number.to_string(), ..PolicyRelease::default() };
        let (active, previous) = (active.to_owned(), previous.to_owned());
        let releases = (0..count).map(release).collect();
        ListPoliciesResponse { releases, active, previous, ..ListPoliciesResponse::default() }
    }

    #[test]
    fn only_what_was_replaced_makes_room_and_only_where_there_is_none() {
        let room = |count, active, previous| superseded(&list(count, active, previous));
        assert_eq!(room(KEPT - 1, "6", "5"), None);
        assert_eq!(room(KEPT, "7", "6").as_deref(), Some("0"));
        assert_eq!(room(KEPT, "7", "0").as_deref(), Some("1"));
        assert_eq!(room(KEPT, "1", "0"), None);
        assert_eq!(room(KEPT, "0", "configuration"), None);
        assert_eq!(room(KEPT, "", "3"), None);
    }
}
