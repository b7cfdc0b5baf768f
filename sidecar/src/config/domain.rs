//! Words of a configuration that have a meaning of their own: users, addresses, domains, URLs.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::evidence::directory::MailboxAddress;

/// Number of a local user, by number or by name.
pub(super) fn uid(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match nix::unistd::User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("expected a user of this machine, there is no {text:?}")),
        Err(error) => Err(format!("expected a user of this machine, {text:?} can't be looked up: {error}")),
    }
}

/// Number of a local group, by number or by name.
pub(super) fn gid(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match nix::unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("expected a group of this machine, there is no {text:?}")),
        Err(error) => Err(format!("expected a group of this machine, {text:?} can't be looked up: {error}")),
    }
}

/// A loopback address with a port.
pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("expected an IP address and a port, found {text:?}"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!("expected a loopback address, {} is reached from other machines", address.ip()))
    }
}

/// A host and a port, `host:port`; the port is checked, the host is for the resolver.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let wrong = || format!("expected host:port, found {text:?}");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port_holds = port.parse::<u16>().is_ok_and(|port| port != 0);
    if host.is_empty() || !port_holds || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

/// The host of a `host:port` that holds.
pub(super) fn host(text: &str) -> &str {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A mail domain, lower-cased.
pub(super) fn mail_domain(text: &str) -> Result<String, String> {
    let address = MailboxAddress::parse(&format!("x@{text}"))
        .map_err(|_| format!("expected a mail domain such as \"hopital.mssante.fr\", found {text:?}"))?;
    Ok(address.domain().to_owned())
}

/// A mailbox address.
pub(super) fn mailbox(text: &str) -> Result<MailboxAddress, String> {
    MailboxAddress::parse(text).map_err(|rule| format!("{rule}, found {text:?}"))
}

/// A name of a SASL mechanism (RFC 4422 section 3.1), upper-cased; never one that carries a token.
pub(super) fn other_mechanism(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let grammar = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 20 || !name.bytes().all(grammar) {
        return Err(format!("expected the name of a SASL mechanism, found {text:?}"));
    }
    if name == "XOAUTH2" || name == "OAUTHBEARER" {
        return Err(format!("expected a mechanism without a token: {name} is never allowed without its handle"));
    }
    if name == "EXTERNAL" {
        return Err("expected a mechanism with a password: EXTERNAL is decided on the certificate".to_owned());
    }
    Ok(name)
}

/// The address of an endpoint: https, or http to this machine alone; no user, no fragment.
pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL ({error}), found {text:?}"))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => return Err("expected https: keys and tokens must not go in clear to another machine".to_owned()),
        other => return Err(format!("expected https, found {other}")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("expected a URL without user, password or fragment".to_owned());
    }
    Ok(url)
}

/// An issuer identifier (OpenID Connect Core section 2, `iss`): kept to the byte, as the tokens carry it.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let url = endpoint(text)?;
    if url.query().is_some() {
        return Err("expected an issuer without a query".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_http_is_for_this_machine_alone() {
        assert!(endpoint("http://127.0.0.1:8080/certs").is_ok());
        assert!(endpoint("http://[::1]/certs").is_ok());
        assert!(endpoint("http://localhost/certs").is_ok());
        assert!(endpoint("https://auth.example.test/certs").is_ok());
        for text in [
            "http://auth.example.test/",
            "http://127.0.0.1.example.test/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "https://user:word@auth.example.test/",
            "auth.example.test",
            "https://x.test/#a",
            "file:///etc/passwd",
            "",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_issuer_keeps_its_bytes() {
        assert_eq!(issuer("https://X.test/realms/a").unwrap(), "https://X.test/realms/a");
    }

    #[test]
    fn doors_stay_on_loopback() {
        assert!(loopback("127.0.0.1:9180").is_ok());
        assert!(loopback("[::1]:9180").is_ok());
        for text in ["0.0.0.0:9180", "[::]:9180", "192.0.2.1:9180", "localhost:9180", "127.0.0.1"] {
            assert!(loopback(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_mechanism_is_never_an_other_mechanism() {
        assert_eq!(other_mechanism("plain").unwrap(), "PLAIN");
        for text in ["XOAUTH2", "xoauth2", "OAUTHBEARER", "EXTERNAL", "", "PLAIN LOGIN"] {
            assert!(other_mechanism(text).is_err(), "{text}");
        }
    }
}
