//! Which way versions may go: an activation that nobody watches never takes the policy back to an older one.

use semver::Version;

/// Which versions a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Whatever the operator names.
    Any,
    /// Versions above the one in service and above every one that an activation ever put into service.
    OnlyNewer,
}

/// Why a release is not taken where only newer ones are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNewer {
    /// A version that can't be compared.
    #[error("expected versions that can be compared (semver.org), found {0:?}: activate this release by hand")]
    Unreadable(String),
    /// As old as the policy in service, or older.
    #[error("version {0} is not above {1}, which is in service: to go back is a step by hand (octroi policy activate)")]
    Serving(String, String),
    /// As old as a release that was in service once, or older.
    #[error(
        "version {0} is not above {1}, which was in service before and was taken back: put it into service by hand (octroi \
         policy activate), or publish a higher version"
    )]
    Before(String, String),
}

impl Versions {
    /// Whether a release may follow: its version, the one in service, and the highest ever activated.
    ///
    /// # Errors
    /// [`NotNewer`]
    pub fn permit(self, version: &str, serving: &str, highest: Option<&str>) -> Result<(), NotNewer> {
        if self == Self::Any {
            return Ok(());
        }
        let new = read(version)?;
        if new.cmp_precedence(&read(serving)?).is_le() {
            return Err(NotNewer::Serving(version.to_owned(), serving.to_owned()));
        }
        match highest {
            Some(highest) if new.cmp_precedence(&read(highest)?).is_le() => {
                Err(NotNewer::Before(version.to_owned(), highest.to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn read(text: &str) -> Result<Version, NotNewer> {
    Version::parse(text).map_err(|_| NotNewer::Unreadable(text.to_owned()))
}

/// The higher of two versions. One that can't be compared counts for nothing.
pub(super) fn higher(highest: Option<String>, version: &str) -> Option<String> {
    let Ok(new) = Version::parse(version) else { return highest };
    match highest.as_deref().map(Version::parse) {
        Some(Ok(known)) if known.cmp_precedence(&new).is_ge() => highest,
        Some(_) | None => Some(version.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_above_all_before_is_newer() {
        let newer = |version, highest| Versions::OnlyNewer.permit(version, "1.2.0", highest);
        for version in ["1.2.1", "1.10.0", "2.0.0-rc.1"] {
            assert_eq!(newer(version, None), Ok(()), "{version}");
            assert_eq!(newer(version, Some("1.2.0")), Ok(()), "{version}");
        }
        for version in ["1.2.0", "1.2.0+later", "1.2.0-rc.1", "1.1.9", "0.9.0"] {
            assert!(matches!(newer(version, None), Err(NotNewer::Serving(..))), "{version}");
            assert_eq!(Versions::Any.permit(version, "1.2.0", Some("9.0.0")), Ok(()));
        }
        assert!(matches!(newer("1.3.0", Some("1.3.0")), Err(NotNewer::Before(..))));
        assert_eq!(newer("1.3.1", Some("1.3.0")), Ok(()));
    }

    #[test]
    fn what_can_not_be_compared_is_not_newer() {
        for (version, serving, highest) in
            [("next", "1.0.0", None), ("2", "1.0.0", None), ("2.0.0", "current", None), ("2.0.0", "1.0.0", Some("x"))]
        {
            let told = Versions::OnlyNewer.permit(version, serving, highest);
            assert!(matches!(told, Err(NotNewer::Unreadable(_))), "{version}");
        }
    }

    #[test]
    fn the_highest_version_never_sinks() {
        let highest = ["1.0.0", "1.10.0", "1.9.0", "unreadable"];
        let highest = highest.into_iter().fold(None, higher);
        assert_eq!(highest.as_deref(), Some("1.10.0"));
        assert_eq!(higher(None, "unreadable"), None);
    }
}
