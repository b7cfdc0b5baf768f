//! The live probe of `octroi check`, before real servers that are really wrong: each of its halves can fail.

use anyhow::{Result, ensure};
use octroi_tests::dovecot::{Door, Dovecot, Setup, Version};
use octroi_tests::imap::Security;

use crate::check::{Finding, check, configuration, entry, mistake, place, setup, stage};

/// Checks a server that was started with this setup, by the settings that it really has.
fn found(setup: &Setup) -> Result<(String, Vec<Finding>)> {
    let (stage, server) = (stage(), Dovecot::start(setup)?);
    let text = configuration(&stage.sidecar)? + &entry(&server, Security::Implicit, "etc/dovecot.conf")?;
    let checked = check(stage, &text, &[])?;
    ensure!(checked.code == Some(1), "{:#?}", checked.findings);
    let place = place(&server, Security::Implicit);
    let (here, elsewhere): (Vec<_>, Vec<_>) = checked.mistakes().into_iter().partition(|found| found.place == place);
    ensure!(elsewhere.is_empty(), "{elsewhere:#?}");
    Ok((place, here))
}

fn probed(found: Vec<Finding>) -> Vec<Finding> {
    found
        .into_iter()
        .filter(|found| found.what.starts_with("XOAUTH2: ") || found.what.starts_with("OAUTHBEARER: "))
        .collect()
}

/// The mailbox lock is open, and nobody is asked after authentication: any token opens any mailbox.
async fn a_server_that_lets_a_non_member_in_is_told_in_capitals(version: Version) -> Result<()> {
    let mut setup = setup(version);
    let lock = match version {
        Version::V2_3 => ("user=%{if;%u;~;%{oauth2:username};%{if;%{oauth2:username};*;^(?*)$;%u;};} ", ""),
        Version::V2_4 => {
            ("%{event:user | if('~', user, user, '') | if('*', '^(?*)$', event:user, '')}", "%{event:user}")
        }
    };
    setup.edited.push((lock.0.to_owned(), lock.1.to_owned()));
    setup.after = "auth_policy_check_after_auth = no".to_owned();
    let (place, found) = found(&setup)?;
    ensure!(found.len() == 4, "the lock, the switch, and the probe by each mechanism: {found:#?}");
    let let_in = |mechanism: &str| {
        let what =
            format!("{mechanism}: A NON-MEMBER WAS LET IN: this server opens any mailbox to any token, or asks nobody");
        let remedy = "take xoauth2 and oauthbearer out of auth_mechanisms at once, then correct what stands above";
        mistake(&place, &what, remedy)
    };
    let probed = probed(found);
    ensure!(probed == [let_in("XOAUTH2"), let_in("OAUTHBEARER")], "{probed:#?}");
    Ok(())
}

fn refused(place: &str, reply: &str) -> Vec<Finding> {
    let remedy =
        "see that the userdb knows the canary, that the secrets are those of the sidecar, and the server's log";
    let refused = |mechanism: &str| mistake(place, &format!("{mechanism}: the canary was refused: {reply}"), remedy);
    vec![refused("XOAUTH2"), refused("OAUTHBEARER")]
}

/// The secret in the introspection URL is not the sidecar's. 2.4 shows it to nobody: the login alone can tell.
async fn a_server_that_refuses_the_canary_is_told_with_its_words(version: Version) -> Result<()> {
    let mut setup = setup(version);
    setup.introspection = Door { secret: "planted-former-secret".to_owned(), ..setup.introspection };
    let (place, found) = found(&setup)?;
    let (reply, others) = match version {
        Version::V2_3 => ("NO [UNAVAILABLE] Temporary authentication failure.", 1),
        Version::V2_4 => ("NO [AUTHENTICATIONFAILED] Authentication failed.", 0),
    };
    ensure!(found.len() == 2 + others, "{found:#?}");
    let mut probed = probed(found);
    for found in &mut probed {
        // 2.3 adds its host and the time to an outage.
        found.what.truncate(found.what.find(". [").map_or(found.what.len(), |at| at + 1));
    }
    ensure!(probed == refused(&place, reply), "{probed:#?}");
    Ok(())
}

on_both! {
    a_server_that_lets_a_non_member_in_is_told_in_capitals
    a_server_that_refuses_the_canary_is_told_with_its_words
}

/// On 2.4 a `passdb oauth2` block empties the handle: the login is refused after authentication.
#[tokio::test]
async fn a_passdb_block_that_loses_the_handle_fails_the_canary() -> Result<()> {
    let mut setup = setup(Version::V2_4);
    setup.after = "passdb oauth2 {\n  mechanisms_filter = xoauth2 oauthbearer\n}".to_owned();
    let (place, found) = found(&setup)?;
    let block = mistake(
        &place,
        "passdb oauth2 is an oauth2 one: the handle gets lost, and every login is refused",
        "take it out: the oauth2 block is enough",
    );
    ensure!(found.first() == Some(&block), "{found:#?}");
    let probed = probed(found);
    ensure!(probed == refused(&place, "NO [AUTHENTICATIONFAILED] Authentication failed."), "{probed:#?}");
    Ok(())
}
