//! The stand-in misbehaves exactly as asked, and is well again when mended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::time::Duration;

use anyhow::Result;
use octroi_psc::{Algorithm, Endpoint, Fault, Psc, SigningKey, Validity};
use serde_json::Value;

async fn body(psc: &Psc, endpoint: Endpoint) -> reqwest::Result<Vec<u8>> {
    let response = reqwest::Client::new().get(psc.url(endpoint)).send().await?;
    Ok(response.bytes().await?.to_vec())
}

#[tokio::test]
async fn a_status_hits_one_endpoint_until_it_is_mended() -> Result<()> {
    let psc = Psc::start().await?;
    psc.spoil(Endpoint::Certs, Fault::Status(500));
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 500);
    assert_eq!(reqwest::get(psc.url(Endpoint::Discovery)).await?.status(), 200);
    psc.mend(Endpoint::Certs);
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 200);
    assert_eq!(psc.calls(Endpoint::Certs), 2);
    Ok(())
}

#[tokio::test]
async fn another_body_takes_the_true_ones_place() -> Result<()> {
    let psc = Psc::start().await?;
    psc.spoil(Endpoint::Certs, Fault::Body { content_type: "text/html", body: "<p>Maintenance".into() });
    let response = reqwest::get(psc.url(Endpoint::Certs)).await?;
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"text/html".parse()?));
    assert_eq!(response.text().await?, "<p>Maintenance");
    Ok(())
}

#[tokio::test]
async fn an_oversize_answer_is_still_the_true_one_only_larger() -> Result<()> {
    let psc = Psc::start().await?;
    let small = body(&psc, Endpoint::Certs).await?;
    psc.spoil(Endpoint::Certs, Fault::Oversize(3_000_000));
    let large = body(&psc, Endpoint::Certs).await?;
    assert_eq!(large.len(), small.len() + 3_000_000);
    assert_eq!(serde_json::from_slice::<Value>(&large)?, serde_json::from_slice::<Value>(&small)?);
    Ok(())
}

#[tokio::test]
async fn truncated_and_closed_answers_are_errors_to_the_caller() -> Result<()> {
    let psc = Psc::start().await?;
    psc.spoil(Endpoint::Certs, Fault::Truncated);
    let cut = reqwest::get(psc.url(Endpoint::Certs)).await?;
    assert!(cut.content_length().is_some_and(|length| length > 100));
    assert!(cut.bytes().await.is_err());
    psc.spoil(Endpoint::Certs, Fault::Close);
    assert!(reqwest::get(psc.url(Endpoint::Certs)).await.is_err());
    Ok(())
}

#[tokio::test]
async fn held_requests_wait_for_the_release_and_not_for_time() -> Result<()> {
    let psc = Psc::start().await?;
    let hold = psc.hold(Endpoint::Certs);
    let requests: Vec<_> = (0..3).map(|_| tokio::spawn(reqwest::get(psc.url(Endpoint::Certs)))).collect();
    hold.arrived(3).await;
    assert!(requests.iter().all(|request| !request.is_finished()));
    assert_eq!(reqwest::get(psc.url(Endpoint::Discovery)).await?.status(), 200);
    hold.release();
    for request in requests {
        assert_eq!(request.await??.status(), 200);
    }
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_delay_is_at_least_as_long_as_asked() -> Result<()> {
    let psc = Psc::start().await?;
    psc.spoil(Endpoint::Certs, Fault::Delay(Duration::from_secs(3600)));
    let slow = tokio::time::timeout(Duration::from_millis(50), reqwest::get(psc.url(Endpoint::Certs))).await;
    assert!(slow.is_err());
    psc.spoil(Endpoint::Certs, Fault::Delay(Duration::from_millis(1)));
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn it_goes_away_and_comes_back_on_the_same_address_with_the_same_keys() -> Result<()> {
    let mut psc = Psc::start().await?;
    let client = reqwest::Client::new();
    let before = client.get(psc.url(Endpoint::Certs)).send().await?.bytes().await?;
    psc.stop().await;
    let gone = client.get(psc.url(Endpoint::Certs)).send().await.expect_err("nobody listens");
    assert!(gone.is_connect());
    psc.resume().await?;
    assert_eq!(client.get(psc.url(Endpoint::Certs)).send().await?.bytes().await?, before);
    Ok(())
}

#[tokio::test]
async fn dropping_it_frees_the_address() -> Result<()> {
    let psc = Psc::start().await?;
    let url = psc.url(Endpoint::Certs);
    drop(psc);
    // The listener goes when the runtime next runs its task.
    tokio::task::yield_now().await;
    assert!(reqwest::get(url).await.is_err());
    Ok(())
}

#[tokio::test]
async fn cut_connections_end_waiting_requests_and_new_ones_pass() -> Result<()> {
    let psc = Psc::start().await?;
    let hold = psc.hold(Endpoint::Certs);
    let request = tokio::spawn(reqwest::get(psc.url(Endpoint::Certs)));
    hold.arrived(1).await;
    psc.cut_connections();
    assert!(request.await?.is_err());
    hold.release();
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn keys_can_be_published_ahead_hidden_or_spoilt() -> Result<()> {
    let psc = Psc::start().await?;
    let kids = |set: Vec<u8>| -> Vec<String> {
        let set: Value = serde_json::from_slice(&set).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap_or("-").to_owned()).collect()
    };
    psc.keys().publish(SigningKey::generate("next", Algorithm::Ps256)?);
    psc.keys().publish_also(vec![serde_json::json!({"kty": "oct", "k": "AAAA"}), Value::Null]);
    assert_eq!(kids(body(&psc, Endpoint::Certs).await?), ["-", "-", "octroi-psc-1", "next"]);
    psc.keys().withdraw("octroi-psc-1");
    psc.keys().publish_also(Vec::new());
    assert_eq!(kids(body(&psc, Endpoint::Certs).await?), ["next"]);
    assert_eq!(psc.keys().signing().kid(), "octroi-psc-1", "withdrawn, and still what signs");
    Ok(())
}

#[tokio::test]
async fn a_reset_is_no_end_of_the_connection_but_its_loss() -> Result<()> {
    let psc = Psc::start().await?;
    psc.spoil(Endpoint::Certs, Fault::Reset);
    let error = reqwest::get(psc.url(Endpoint::Certs)).await.expect_err("reset");
    let mut causes =
        std::iter::successors(std::error::Error::source(&error), |cause| std::error::Error::source(*cause));
    let kind = causes.find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset));
    psc.mend(Endpoint::Certs);
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn the_true_answer_comes_under_another_content_type() -> Result<()> {
    let psc = Psc::start().await?;
    let truth = body(&psc, Endpoint::Certs).await?;
    psc.spoil(Endpoint::Certs, Fault::ContentType("text/plain"));
    let response = reqwest::get(psc.url(Endpoint::Certs)).await?;
    assert_eq!(response.headers().get_all("content-type").iter().collect::<Vec<_>>(), ["text/plain"]);
    assert_eq!(response.bytes().await?, truth);
    Ok(())
}

#[tokio::test]
async fn a_half_closed_connection_is_at_its_end_for_the_peer_and_new_ones_pass() -> Result<()> {
    let psc = Psc::start().await?;
    let hold = psc.hold(Endpoint::Certs);
    let request = tokio::spawn(reqwest::get(psc.url(Endpoint::Certs)));
    hold.arrived(1).await;
    psc.half_close_connections();
    assert!(request.await?.is_err());
    hold.release();
    assert_eq!(reqwest::get(psc.url(Endpoint::Certs)).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn its_certificate_expires_and_is_renewed_under_the_same_authority() -> Result<()> {
    let mut psc = Psc::start_tls().await?;
    let authority = reqwest::Certificate::from_pem(psc.ca_pem().unwrap().as_bytes())?;
    let get = async |url: String| {
        let client = reqwest::Client::builder().tls_certs_only([authority.clone()]).build()?;
        client.get(url).send().await
    };
    for (validity, good) in [(Validity::Current, true), (Validity::Expired, false), (Validity::Current, true)] {
        psc.stop().await;
        psc.renew_certificate(validity)?;
        psc.resume().await?;
        assert_eq!(get(psc.url(Endpoint::Certs)).await.is_ok(), good, "{validity:?}");
    }
    Ok(())
}
