//! What a registry wants to be shown before it answers (RFC 9110 section 11.6.1, and the token authentication of the
//! distribution project).

/// How a registry wants to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each question.
    Basic,
    /// A token from another place.
    Bearer {
        /// Where it is to be had.
        realm: String,
        /// For whom it is.
        service: Option<String>,
    },
}

/// The first challenge that can be met. Tokens are preferred: a password then goes to one place alone.
pub(super) fn read(headers: &[String]) -> Option<Challenge> {
    let known: Vec<Challenge> = headers.iter().filter_map(|header| one(header)).collect();
    let bearer = known.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(known.first()).cloned()
}

fn one(header: &str) -> Option<Challenge> {
    let header = header.trim();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameters = parameters(rest)?;
    let named = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    Some(Challenge::Bearer { realm: named("realm")?, service: named("service") })
}

/// `name=token` or `name="text"`, with commas between. What is not of this form is no challenge that can be met.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after.get(..end)?.trim().to_owned(), after.get(end..)?)
            }
        };
        parameters.push((name.trim().to_owned(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(parameters)
}

/// The text up to its closing quote, and what comes after it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[&str]) -> Option<Challenge> {
        read(&headers.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    #[test]
    fn what_registries_ask_for_is_read() {
        assert_eq!(told(&["Basic realm=\"Registry Realm\""]), Some(Challenge::Basic));
        assert_eq!(told(&["basic"]), Some(Challenge::Basic));
        let common =
            "Bearer realm=\"https://auth.example.test/token\",service=\"registry\",scope=\"repository:a:pull,push\"";
        assert_eq!(told(&[common]), bearer("https://auth.example.test/token", Some("registry")));
        assert_eq!(told(&["bearer Realm = https://x/ , error=\"a\\\"b\""]), bearer("https://x/", None));
        assert_eq!(told(&["Negotiate", "Basic realm=x", common]), told(&[common]));
    }

    #[test]
    fn what_can_not_be_met_is_none() {
        for header in
            ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"x", "Bearer realm=\"x\" y", "Bearer x"]
        {
            assert_eq!(told(&[header]), None, "{header}");
        }
    }
}
