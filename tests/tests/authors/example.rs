//! The worked example, step by step as its README has it, on a real sidecar with real signatures.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use octroi::proto::authenticate_request::Credentials;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_client::GateClient;
use octroi::proto::{AuthenticateRequest, Protocol};
use octroi_psc::{Psc, doctor_one};
use octroi_tests::sidecar::{Settings, Sidecar};
use tonic::transport::{Channel, Endpoint};

use crate::workshop::{Workshop, root};

const UN: &str = "docteur.un@bal.example.test";

/// The README's commands, in the order in which they stand there.
struct Steps(std::vec::IntoIter<String>);

impl Steps {
    fn read() -> Result<Self> {
        let readme = fs::read_to_string(root().join("integrations/policy-example/README.md"))?;
        let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
        let blocks: Vec<_> = blocks.map(|(block, _)| block.to_owned()).collect();
        Ok(Self(blocks.into_iter()))
    }

    /// Runs the next ones, which are known by this.
    fn next(&mut self, workshop: &Workshop, part: &str) -> Result<String> {
        let block = self.0.next().with_context(|| format!("the README has no step with {part}"))?;
        ensure!(block.contains(part), "expected the step with {part}, the README has\n{block}");
        workshop.shell(&block)
    }
}

/// Asks the sidecar as a mail server does.
struct Mail {
    psc: Psc,
    gate: GateClient<Channel>,
}

impl Mail {
    /// `Ok`: granted. `Err`: the reason of the refusal.
    async fn login(&mut self, protocol: Protocol, acr: &str) -> Result<Result<(), String>> {
        let token = self.psc.token(&doctor_one()).claim("acr", acr).mint();
        let request = AuthenticateRequest {
            credentials: Some(Credentials::Bearer(token.into_bytes())),
            mailbox: UN.to_owned(),
            protocol: protocol.into(),
            client_address: "192.0.2.7".to_owned(),
        };
        let reply = self.gate.authenticate(request).await?.into_inner();
        Ok(match reply.outcome.context("no outcome")? {
            Outcome::Allowed(_) => Ok(()),
            Outcome::Denied(denied) => Err(denied.reason),
        })
    }

    /// Who may what: reading at `eidas1` always, sending at `eidas1` as said, sending at `eidas2` always.
    async fn is_as_before_but_for(&mut self, sending: Result<(), String>) -> Result<()> {
        let found = [
            self.login(Protocol::Imap, "eidas1").await?,
            self.login(Protocol::Smtp, "eidas1").await?,
            self.login(Protocol::Smtp, "eidas2").await?,
        ];
        ensure!(found == [Ok(()), sending, Ok(())], "{found:?}");
        Ok(())
    }
}

/// A sidecar that takes what the workshop's key has signed.
async fn start(workshop: &Workshop) -> Result<(Mail, Sidecar)> {
    let public = fs::read_to_string(workshop.path("author.pub"))?;
    let key = public.lines().last().context("an empty key")?;
    let more = format!("[[policy.signer]]\nname = \"author\"\nminisign = \"{key}\"\n");
    let psc = Psc::start().await?;
    let sidecar = Sidecar::start(&psc, &Settings { more, ..Settings::default() })?;
    workshop.configured(&sidecar.configuration_file())?;
    let socket = sidecar.folder().join("gate.sock");
    let channel = Endpoint::new(format!("unix:{}", socket.display()))?.connect().await?;
    Ok((Mail { psc, gate: GateClient::new(channel) }, sidecar))
}

/// Until this command prints this: the shadow answers when nobody else wants the processor.
async fn comes_to_tell(workshop: &Workshop, command: &str, part: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let told = workshop.shell(command)?;
        if told.contains(part) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{command} does not come to tell {part}:\n{told}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_leads_from_the_edit_to_the_activation_and_back() -> Result<()> {
    let (workshop, mut steps) = (Workshop::open()?, Steps::read()?);
    let refused = || Err("assurance-refused".to_owned());
    steps.next(&workshop, "minisign -G")?;
    let (mut mail, _sidecar) = start(&workshop).await?;
    mail.is_as_before_but_for(Ok(())).await?;
    let told = {
        let _building = Workshop::building();
        steps.next(&workshop, "octroi policy new")?
    };
    ensure!(told.contains("vectors are answered as they say"), "{told}");
    ensure!(told.contains("deny           assurance-refused: Niveau d'authentification refuse"), "{told}");
    let told = steps.next(&workshop, "octroi policy diff")?;
    ensure!(told.contains("pro-sante-connect-strict-sending") && told.contains("1 of 108 vectors"), "{told}");
    ensure!(told.contains("a doctor at eidas1 does not send") && told.ends_with("as intended\n"), "{told}");
    let told = steps.next(&workshop, "octroi policy stage")?;
    ensure!(told.contains("pro-sante-connect-strict-sending 0.1.0 is staged as sha256:"), "{told}");
    steps.next(&workshop, "octroi policy shadow")?;
    mail.is_as_before_but_for(Ok(())).await?;
    comes_to_tell(&workshop, "octroi policy differences", "0 not looked at, 0 waiting").await?;
    let told = steps.next(&workshop, "octroi policy differences")?;
    ensure!(told.contains("2 logins decided alike") && told.contains("assurance-refused"), "{told}");
    let told = steps.next(&workshop, "--percent 10")?;
    ensure!(told.contains("decides for 10 of 100 persons"), "{told}");
    let told = steps.next(&workshop, "for everybody")?;
    ensure!(told.contains("pro-sante-connect-strict-sending 0.1.0 (sha256:"), "{told}");
    mail.is_as_before_but_for(refused()).await?;
    let told = steps.next(&workshop, "octroi policy rollback")?;
    ensure!(told.contains("the configuration's own policy decides now"), "{told}");
    mail.is_as_before_but_for(Ok(())).await?;
    ensure!(steps.0.next().is_none(), "the README has more steps than this test");
    Ok(())
}
