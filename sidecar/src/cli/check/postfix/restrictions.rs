//! One list of restrictions: what stands where in it.

/// What opens a list to somebody before anything after it is asked.
const PERMITS: [&str; 8] = [
    "permit",
    "permit_mynetworks",
    "permit_sasl_authenticated",
    "permit_inet_interfaces",
    "permit_auth_destination",
    "permit_tls_clientcerts",
    "permit_tls_all_clientcerts",
    "permit_mx_backup",
];

/// One element.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Restriction<'a> {
    /// `check_policy_service`: whom it asks, and its `default_action`.
    Asks(&'a str, Option<&'a str>),
    /// Lets somebody through.
    Permits(&'a str),
    /// Anything else.
    Other,
}

/// The elements in their order. Braces keep together what is inside (postconf(5), "smtpd_policy_service").
pub(super) fn read(list: &str) -> Vec<Restriction<'_>> {
    let mut elements = Vec::new();
    let mut words = words(list).into_iter();
    while let Some(word) = words.next() {
        let element = match word {
            "check_policy_service" => words.next().map_or(Restriction::Other, policy_service),
            permit if PERMITS.contains(&permit) => Restriction::Permits(permit),
            _ => Restriction::Other,
        };
        elements.push(element);
    }
    elements
}

fn policy_service(word: &str) -> Restriction<'_> {
    let Some(inside) = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Restriction::Asks(word, None);
    };
    let words = words(inside);
    let action = words.iter().find_map(|word| {
        let bare = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(word);
        let (key, value) = bare.split_once('=')?;
        (key.trim() == "default_action").then(|| value.trim())
    });
    words.first().map_or(Restriction::Other, |endpoint| Restriction::Asks(endpoint, action))
}

/// Splits at blanks and commas outside braces.
fn words(list: &str) -> Vec<&str> {
    let (mut words, mut depth, mut start) = (Vec::new(), 0_usize, None);
    for (at, c) in list.char_indices() {
        let separates = depth == 0 && (c.is_whitespace() || c == ',');
        match (separates, start) {
            (true, Some(from)) => {
                words.extend(list.get(from..at));
                start = None;
            }
            (false, None) => start = Some(at),
            (true, None) | (false, Some(_)) => {}
        }
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words.extend(start.and_then(|from| list.get(from..)));
    words
}

#[cfg(test)]
mod tests {
    use super::Restriction::{Asks, Other, Permits};
    use super::*;

    #[test]
    fn a_list_is_read_in_its_order_and_braces_keep_together() {
        let list = "permit_mynetworks, check_policy_service { unix:octroi/policy, timeout=5s, { default_action = 451 4.3.5 \
                    Later, please } }\n reject_unlisted_sender check_policy_service inet:127.0.0.1:9182 permit";
        let expected = [
            Permits("permit_mynetworks"),
            Asks("unix:octroi/policy", Some("451 4.3.5 Later, please")),
            Other,
            Asks("inet:127.0.0.1:9182", None),
            Permits("permit"),
        ];
        assert_eq!(read(list), expected);
        assert_eq!(read(" , "), []);
        assert_eq!(read("check_policy_service"), [Other]);
        assert_eq!(read("check_policy_service { }"), [Other]);
    }
}
