//! Form parameters of a request, from its query or its body (`application/x-www-form-urlencoded`).
//!
//! Owns their reading. A parameter given twice counts as absent: RFC 6749 section 3.1 allows none twice.

/// Parameters in order.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads parameters.
    #[must_use]
    pub fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The parameter, where it is given exactly once.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(given, _)| given == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }

    /// Every parameter, in order.
    #[must_use]
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// Written again, without the parameters of that name.
    #[must_use]
    pub fn encoded_without(&self, name: &str) -> String {
        let kept = self.0.iter().filter(|(given, _)| given != name);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }
}
