//! The stand-in as a test holds it: one value that is a running provider.
//!
//! Owns start, stop and everything that a test may look at or change. Dropping it ends the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::client::{Client, OPERATOR, PUBLIC_CLIENT};
use crate::clock::Clock;
use crate::endpoints::{Endpoint, REALM_PATH};
use crate::fault::{Fault, Hold, HoldingPoint};
use crate::identity::{Identity, identities};
use crate::keys::{Algorithm, Keys, SigningKey};
use crate::realm::{IntrospectionCall, Realm, Said};
use crate::server::{Serving, bind};
use crate::state_dir::FIRST_KID;
use crate::tls::ServerCertificate;
use crate::token::Token;

/// What a stand-in is made of, before it starts. [`Psc::builder`] gives the defaults.
pub struct Builder {
    listen: SocketAddr,
    certificate: Option<ServerCertificate>,
    clock: Clock,
    key: Option<SigningKey>,
    operator: Option<Client>,
    identities: Vec<Identity>,
}

impl Builder {
    /// Address to listen on. Default: 127.0.0.1, a free port.
    #[must_use]
    pub const fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Speaks HTTPS with this certificate. Default: plain HTTP.
    #[must_use]
    pub fn certificate(mut self, certificate: ServerCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// The provider's clock. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The first signing key. Default: a fresh RS256 key.
    #[must_use]
    pub fn key(mut self, key: SigningKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The operator's client. Default: [`OPERATOR`] with a random secret.
    #[must_use]
    pub fn operator(mut self, client: Client) -> Self {
        self.operator = Some(client);
        self
    }

    /// Who can log in at the page. Default: [`identities`].
    #[must_use]
    pub fn identities(mut self, identities: Vec<Identity>) -> Self {
        self.identities = identities;
        self
    }

    /// Starts it, within the current Tokio runtime.
    ///
    /// # Errors
    /// When no key can be made, the certificate is unusable, or the address can't be listened on.
    pub async fn start(self) -> Result<Psc> {
        let key = match self.key {
            Some(key) => key,
            None => SigningKey::generate(FIRST_KID, Algorithm::Rs256)?,
        };
        let operator = match self.operator {
            Some(client) => client,
            None => Client::confidential(OPERATOR)?,
        };
        let tls = self.certificate.as_ref().map(ServerCertificate::acceptor).transpose()?;
        let listener = bind(self.listen).await?;
        let address = listener.local_addr().context("the listener has no address")?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let issuer = format!("{scheme}://{address}{REALM_PATH}");
        let realm = Arc::new(Realm::new(issuer, self.clock, Keys::new(key), self.identities));
        realm.register(operator.clone());
        realm.register(Client::public(PUBLIC_CLIENT));
        let serving = Some(Serving::start(listener, tls, realm.clone()));
        Ok(Psc { realm, serving, address, certificate: self.certificate, operator })
    }
}

/// A running stand-in Pro Santé Connect. It ends when dropped.
pub struct Psc {
    realm: Arc<Realm>,
    serving: Option<Serving>,
    address: SocketAddr,
    certificate: Option<ServerCertificate>,
    operator: Client,
}

impl Psc {
    /// Starts one on a free loopback port, over plain HTTP.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Starts one on a free loopback port, over HTTPS with an authority of its own ([`Psc::ca_pem`]).
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start_tls() -> Result<Self> {
        let certificate = ServerCertificate::create(crate::tls::Validity::Current)?;
        Self::builder().certificate(certificate).start().await
    }

    /// A stand-in to be adjusted before it starts.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: None,
            clock: Clock::system(),
            key: None,
            operator: None,
            identities: identities(),
        }
    }

    /// Issuer, exactly as `iss` carries it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.realm.issuer
    }

    /// Full URL of an endpoint.
    #[must_use]
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.issuer(), endpoint.path())
    }

    /// Address listened on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Certificate of the authority to trust, in PEM; none over plain HTTP.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(ServerCertificate::ca_pem)
    }

    /// Writes [`Psc::ca_pem`] as `psc-ca.pem` into a folder and gives the path.
    ///
    /// # Errors
    /// Over plain HTTP, or when the file can't be written.
    pub fn write_ca(&self, folder: &Path) -> Result<PathBuf> {
        let file = folder.join("psc-ca.pem");
        std::fs::write(&file, self.ca_pem().context("there is no authority without TLS")?)
            .with_context(|| format!("{} can't be written", file.display()))?;
        Ok(file)
    }

    /// The client with which an operator introspects.
    #[must_use]
    pub const fn operator(&self) -> &Client {
        &self.operator
    }

    /// Secret of [`Psc::operator`].
    #[must_use]
    pub fn operator_secret(&self) -> &str {
        self.operator.secret.as_deref().unwrap_or_default()
    }

    /// Adds a client, or replaces the one of that identifier.
    pub fn register(&self, client: Client) {
        self.realm.register(client);
    }

    /// Whether introspection tells the operator the truth from now on ([`Client::entitled`]).
    pub fn entitle(&self, entitled: bool) {
        self.realm.register(Client { entitled, ..self.operator.clone() });
    }

    /// The provider's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.realm.clock
    }

    /// Now, by the provider's clock, in seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.realm.clock.now()
    }

    /// Signing keys and published keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.realm.keys
    }

    /// `Cache-Control` of the key set. Default: none.
    pub fn certs_cache_control(&self, value: Option<&str>) {
        self.realm.set_certs_cache_control(value.map(str::to_owned));
    }

    /// A good access token of `identity`, by the provider's clock.
    #[must_use]
    pub fn token(&self, identity: &Identity) -> Token {
        self.token_at(identity, self.now())
    }

    /// A good access token of `identity`, issued at `now`.
    #[must_use]
    pub fn token_at(&self, identity: &Identity, now: u64) -> Token {
        Token::new(&self.realm.keys.signing(), self.issuer(), identity, now)
    }

    /// How often an endpoint was called.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.realm.calls(endpoint)
    }

    /// The last introspection by a client whose credentials held.
    #[must_use]
    pub fn last_introspection(&self) -> Option<IntrospectionCall> {
        self.realm.last_introspection()
    }

    /// Whether a client whose credentials held has called introspection for that token.
    #[must_use]
    pub fn was_asked_about(&self, token: &str) -> bool {
        self.realm.was_asked_about(token)
    }

    /// Introspection says this of that token from now on.
    pub fn say(&self, token: &str, said: Said) {
        self.realm.say(token, said);
    }

    /// Introspection says this of every token that [`Psc::say`] doesn't name; the truth again for none.
    pub fn say_of_all(&self, said: Option<Said>) {
        self.realm.say_of_all(said);
    }

    /// Ends a provider session: its tokens are inactive from now on.
    pub fn end_session(&self, sid: &str) {
        self.realm.end_session(sid);
    }

    /// Spoils an endpoint until it is mended.
    pub fn spoil(&self, endpoint: Endpoint, fault: Fault) {
        self.realm.faults.set(endpoint, Some(fault));
    }

    /// Ends the fault of an endpoint.
    pub fn mend(&self, endpoint: Endpoint) {
        self.realm.faults.set(endpoint, None);
    }

    /// Keeps every request to an endpoint waiting until the answer to this call is dropped or released.
    #[must_use]
    pub fn hold(&self, endpoint: Endpoint) -> Hold {
        let point = HoldingPoint::new();
        self.spoil(endpoint, Fault::Held(point.clone()));
        Hold(point)
    }

    /// Ends every connection that is open now. New ones are taken.
    pub fn cut_connections(&self) {
        if let Some(serving) = &self.serving {
            serving.cut_connections();
        }
    }

    /// Ends the writing half of every connection that is open now, as a balancer does that has forgotten them: the peer
    /// may go on sending, and nobody answers.
    pub fn half_close_connections(&self) {
        if let Some(serving) = &self.serving {
            serving.half_close_connections();
        }
    }

    /// Shows another certificate from the next start on: [`Psc::stop`], then [`Psc::resume`].
    ///
    /// # Errors
    /// Over plain HTTP, or when it can't be made: see [`ServerCertificate::renewed`].
    pub fn renew_certificate(&mut self, validity: crate::tls::Validity) -> Result<()> {
        let certificate = self.certificate.as_ref().context("there is no certificate without TLS")?;
        self.certificate = Some(certificate.renewed(validity)?);
        Ok(())
    }

    /// Goes away: connections end, new ones are refused. State stays.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop().await;
        }
    }

    /// Comes back on the same address, with the same keys and state.
    ///
    /// # Errors
    /// When the address was taken meanwhile.
    pub async fn resume(&mut self) -> Result<()> {
        if self.serving.is_none() {
            let tls = self.certificate.as_ref().map(ServerCertificate::acceptor).transpose()?;
            self.serving = Some(Serving::start(bind(self.address).await?, tls, self.realm.clone()));
        }
        Ok(())
    }
}
