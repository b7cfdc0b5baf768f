//! From how things are written down to what decides: releases loaded, the share, the watch, the shadow.

use std::sync::Arc;

use super::standing::{Standing, Which};
use super::{Desk, Releases, ReleasesParts, StepError, blocking};
use crate::clock::UnixSeconds;
use crate::gate::{Partial, Probation, Service, Shadow, Share};
use crate::policy::{Bundle, Digest, Release};

impl Releases {
    /// Puts into service what was, before the process ended.
    pub(super) async fn resume(&self, standing: Standing) -> Result<(), StepError> {
        let mut desk = self.desk.lock().await;
        if let Some(Which::Release(release)) = standing.previous
            && let Err(error) = self.policy(&mut desk, Which::Release(release)).await
        {
            tracing::error!(%release, %error, "a rollback would fail: its release does not load");
        }
        let mut standing = standing;
        if let Some(trial) = &standing.partial
            && let Err(error) = self.policy(&mut desk, Which::Release(trial.release)).await
        {
            // Those for whom it decided are judged by the one in service, as before it came.
            tracing::error!(release = %trial.release, %error, "a release that decides for some does not load");
            standing.partial = None;
        }
        let service = self.service(&mut desk, &standing).await?;
        if service.release.is_unsigned() {
            let release = service.release.digest();
            tracing::warn!(release, "the policy in service is a release that nobody signed");
        }
        self.parts.gate.put_in_service(service);
        match self.shadow_of(&mut desk, &standing).await {
            Ok(Some(shadow)) => self.parts.gate.put_in_shadow(shadow),
            Ok(None) => {}
            // It decides nothing: no reason not to start.
            Err(error) => tracing::error!(%error, "the release in the shadow does not load"),
        }
        desk.standing = standing;
        Ok(())
    }

    /// What decides, as things stand.
    pub(super) async fn service(&self, desk: &mut Desk, standing: &Standing) -> Result<Service, StepError> {
        let release = self.policy(desk, standing.active).await?;
        let partial = match &standing.partial {
            Some(trial) => {
                let tried = self.policy(desk, Which::Release(trial.release)).await?;
                let share = Share {
                    percent: trial.percent,
                    listed: trial.listed.clone(),
                    pseudonyms: self.parts.audit.pseudonyms().clone(),
                };
                let probation = self.watch(&tried, Some(Arc::clone(&release)), trial.mark.at);
                Some(Partial { release: tried, share, probation })
            }
            None => None,
        };
        let previous = match (standing.active, standing.previous) {
            // One that does not load can't take over.
            (Which::Release(_), Some(before)) => self.policy(desk, before).await.ok(),
            // The configuration's own stays, and what was put back has nothing before it.
            (Which::Configuration, _) | (_, None) => None,
        };
        let since = standing.changed.as_ref().map_or(0, |mark| mark.at);
        let probation = Some(self.watch(&release, previous, since));
        Ok(Service { release, partial, probation })
    }

    /// The watch over a release that came at `since`: the one that is there already, with what it counted, or a new
    /// one.
    fn watch(&self, release: &Release, previous: Option<Arc<Release>>, since: u64) -> Arc<Probation> {
        let settings = self.parts.probation;
        // Without a window, and without anything to take its place, it is still watched, and told.
        let seconds = if previous.is_some() { settings.seconds } else { 0 };
        let until = UnixSeconds(since).plus(seconds);
        let serving = self.parts.gate.service();
        let there = serving.partial.as_ref().map(|partial| &partial.probation).into_iter().chain(&serving.probation);
        there.into_iter().find(|watch| watch.is_of(release, until)).map_or_else(
            || Arc::new(Probation::new(release, previous, until, settings.persons, self.quarantine.clone())),
            Arc::clone,
        )
    }

    /// The shadow that has to be there, where it is not the one that is: `Some(None)` ends one.
    pub(super) async fn shadow_of(
        &self,
        desk: &mut Desk,
        standing: &Standing,
    ) -> Result<Option<Option<Shadow>>, StepError> {
        let current = self.parts.gate.shadow();
        let Some(release) = standing.shadow else { return Ok(current.map(|_| None)) };
        if current.is_some_and(|current| current.release().digest() == release.hex()) {
            return Ok(None);
        }
        let release = self.policy(desk, Which::Release(release)).await?;
        Shadow::start(release, &self.parts.gate).map(|shadow| Some(Some(shadow))).map_err(|_| StepError::Thread)
    }

    /// The policy itself, compiled before or now.
    async fn policy(&self, desk: &mut Desk, which: Which) -> Result<Arc<Release>, StepError> {
        let Which::Release(release) = which else { return Ok(Arc::clone(&self.configured)) };
        if let Some(loaded) = desk.loaded.get(&release) {
            return Ok(Arc::clone(loaded));
        }
        let loaded = self.load(release).await?;
        desk.loaded.insert(release, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Reads a release from disk and compiles it. Its signatures are held against the signers of today.
    async fn load(&self, release: Digest) -> Result<Arc<Release>, StepError> {
        let (shelf, compiling) = (self.shelf.clone(), self.compiling());
        let (loaded, _) = blocking(move || compiling(&shelf.get(release)?)).await?;
        Ok(Arc::new(loaded))
    }

    /// Checks who signed a release, and only then reads and compiles it.
    pub(super) fn compiling(
        &self,
    ) -> impl FnOnce(&Bundle) -> Result<(Release, Vec<String>), StepError> + Send + 'static {
        let ReleasesParts { engine, settings, trust, .. } = &self.parts;
        let (engine, settings, trust) = (engine.clone(), settings.clone(), trust.clone());
        move |bundle| {
            let statement = bundle.statement();
            let signed_by = trust.check(&statement, &bundle.signatures)?;
            let complete = settings.complete(bundle.settings.as_deref());
            let complete = complete.map_err(|expected| StepError::Invalid(format!("settings.json: {expected}")))?;
            let loaded = Release::load(&engine, &bundle.component, &complete)?;
            Ok((loaded.known_as(statement.release(), signed_by.is_empty()), signed_by))
        }
    }
}
