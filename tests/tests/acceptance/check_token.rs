//! `octroi check --token`: a real client's token, step by step, before providers that do and do not believe it.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use octroi_psc::{Deviation, Psc, Said, doctor_one};
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::{Value, json};

use crate::check::{Checked, Finding, check, configuration, token_file};
use crate::stage::{Stage, provider};

/// Two providers, both asked about tokens, and a sidecar that believes both.
struct Two {
    stage: Stage,
    other: Psc,
    text: String,
}

impl Two {
    fn start() -> Result<Self> {
        let psc = provider(Psc::start())?;
        let other = provider(Psc::builder().operator(psc.operator().clone()).start())?;
        let more = format!(
            "[[issuer]]\nissuer = \"{}\"\nmailbox_domains = [\"autre.test\"]\nintrospection = \"required\"\n\
             client_id = \"{}\"\nclient_secret_file = \"client.secret\"\n",
            other.issuer(),
            psc.operator().id
        );
        let sidecar = Sidecar::start(&psc, &Settings { introspection: "required", more, ..Settings::default() })?;
        let text = configuration(&sidecar)?;
        Ok(Self { stage: Stage { psc, sidecar }, other, text })
    }

    /// What is told of this token; never the token, nor any of its claims that says who it is.
    fn check(&self, token: &str) -> Result<Checked> {
        let file = token_file(&self.stage, "given.token", token)?;
        let checked = check(&self.stage, &self.text, &["--token", &file])?;
        let mut planted: Vec<String> = token.split('.').filter(|part| part.len() > 20).map(str::to_owned).collect();
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        for name in
            ["sub", "sid", "session_state", "preferred_username", "SubjectNameID", "family_name", "given_name", "jti"]
        {
            planted.extend(claims[name].as_str().filter(|value| value.len() > 2).map(str::to_owned));
        }
        for planted in planted {
            ensure!(!format!("{checked:?}").contains(&planted), "{planted} is printed: {checked:#?}");
        }
        Ok(checked)
    }

    fn own(&self) -> &str {
        self.stage.psc.issuer()
    }
}

/// The one finding at a place whose text begins so.
fn found<'c>(checked: &'c Checked, place: &str, begins: &str) -> Result<&'c Finding> {
    let mut all = checked.findings.iter().filter(|found| found.place == place && found.what.starts_with(begins));
    let one = all.next().with_context(|| format!("{begins:?} at {place}: {:#?}", checked.findings))?;
    ensure!(all.next().is_none(), "twice: {:#?}", checked.findings);
    Ok(one)
}

fn says(checked: &Checked, weight: &str, place: &str, what: &str) -> Result<()> {
    let found = found(checked, place, what)?;
    ensure!(found.weight == weight && found.what == what, "{found:#?}\nexpected {weight} {what}");
    ensure!((weight == "ok") == found.remedy.is_empty(), "{found:#?}");
    Ok(())
}

const HOLDS: &str = "the given token: iss matches, its key is found, its signature holds";
/// Both providers call their keys the same.
const FOREIGN: &str = "the given token: iss does not match, its key is found, its signature does not hold";

#[test]
fn each_step_of_a_token_is_told_for_each_issuer() -> Result<()> {
    let two = Two::start()?;
    let (own, other) = (two.own(), two.other.issuer());

    let good = two.stage.psc.token(&doctor_one()).mint();
    let asked = two.stage.psc.calls(octroi_psc::Endpoint::Introspect);
    let checked = two.check(&good)?;
    ensure!(checked.code == Some(0), "{:#?}", checked.findings);
    ensure!(found(&checked, "token", "a JWS: alg RS256, kid ")?.what.ends_with(", azp lps-d-essai"));
    says(&checked, "ok", "token", &format!("its iss is {own}"))?;
    says(&checked, "ok", own, HOLDS)?;
    says(&checked, "ok", own, "introspection: it calls the given token active, and agrees on sub, sid, azp")?;
    says(&checked, "not checked", other, FOREIGN)?;
    ensure!(two.stage.psc.calls(octroi_psc::Endpoint::Introspect) == asked + 1, "it asks once");
    let shown = two.other.last_introspection().context("the other provider is asked whether it knows us")?;
    ensure!(shown.form.one("token") != Some(good.as_str()), "a token was shown to another provider than its own");

    for (deviation, place, what) in [
        (Deviation::BadSignature, own, "the given token: iss matches, its key is found, its signature does not hold"),
        (Deviation::UnknownKid, own, "the given token: iss matches, its key is not among those published"),
        (Deviation::NoIssuer, "token", "it has no iss"),
        (Deviation::NoExpiry, "token", "it has no exp"),
        (Deviation::AlgNone, own, "the given token: iss matches, its alg is none that is known"),
    ] {
        let token = two.stage.psc.token(&doctor_one()).deviate(deviation)?.mint();
        let checked = two.check(&token)?;
        ensure!(checked.code == Some(1), "{what}: {:#?}", checked.findings);
        says(&checked, "MISTAKE", place, what)?;
    }
    let checked = two.check("planted-token")?;
    says(&checked, "MISTAKE", "token", "it is no JWS: three parts between dots are expected")?;
    let checked = two.check(&two.stage.psc.token(&doctor_one()).deviate(Deviation::IssuerWithSlash)?.mint())?;
    says(&checked, "MISTAKE", "token", &format!("its iss is {own}/: no [[issuer]] has that name"))?;
    let same = "the given token: iss does not match, and yet its signature holds under a key of this issuer";
    says(&checked, "MISTAKE", own, same)
}

#[test]
fn what_introspection_says_of_it_is_told_and_why_that_may_be() -> Result<()> {
    let mut two = Two::start()?;
    let own = two.own().to_owned();

    let expired = two.stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    let checked = two.check(&expired)?;
    ensure!(found(&checked, "token", "it expired ")?.weight == "MISTAKE");
    says(&checked, "not checked", &own, "introspection: it calls the given token not active; the token is expired")?;

    // A caller that stands not in the tokens' audience hears this of every token.
    let not_entitled = "introspection: it calls the given token not active, which is signed and not expired: it was \
                        revoked, or the caller is not entitled to ask about it";
    two.stage.psc.entitle(false);
    for _ in 0..2 {
        let checked = two.check(&two.stage.psc.token(&doctor_one()).mint())?;
        ensure!(checked.mistakes().len() == 1, "{:#?}", checked.findings);
        says(&checked, "ok", &own, HOLDS)?;
        says(&checked, "MISTAKE", &own, not_entitled)?;
    }
    two.stage.psc.entitle(true);

    let token = two.stage.psc.token(&doctor_one()).mint();
    let answer = json!({"active": true, "sub": "planted-sub", "azp": "planted-azp"});
    two.stage.psc.say(&token, Said::Answer(answer));
    let differs = "introspection: it calls the given token active, and differs from it on sub, azp";
    says(&two.check(&token)?, "MISTAKE", &own, differs)?;

    let token = two.stage.psc.token(&doctor_one()).mint();
    provider(two.stage.psc.stop());
    let checked = two.check(&token)?;
    ensure!(checked.code == Some(1), "{:#?}", checked.findings);
    says(&checked, "MISTAKE", &own, "the given token: iss matches, nothing can be said of its key")
}
