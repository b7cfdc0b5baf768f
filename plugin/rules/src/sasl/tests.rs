use base64::engine::general_purpose::STANDARD_NO_PAD;
use proptest::prelude::*;

use super::*;

/// User and token that a plain message is read as.
fn found(mechanism: &str, message: impl AsRef<[u8]>) -> Result<(Option<String>, String), DenyReason> {
    let message = read(mechanism, STANDARD.encode(message).as_bytes())?;
    let token = String::from_utf8(message.bytes[message.token.clone()].to_vec()).unwrap();
    Ok((message.user.map(|user| String::from_utf8_lossy(&user).into_owned()), token))
}

fn refused(mechanism: &str, message: impl AsRef<[u8]>) -> bool {
    found(mechanism, message) == Err(DenyReason::MessageMalformed)
}

#[test]
fn an_xoauth2_message_names_user_and_token() {
    for message in ["user=a@b.test\x01auth=Bearer x.y.z\x01\x01", "user=a@b.test\x01auth=bEARER x.y.z\x01\x01"] {
        assert_eq!(found("XOAUTH2", message), Ok((Some("a@b.test".into()), "x.y.z".into())));
        assert_eq!(found("xoauth2", message), Ok((Some("a@b.test".into()), "x.y.z".into())));
    }
}

#[test]
fn an_xoauth2_message_of_any_other_form_is_refused() {
    for message in [
        "",
        "\x01",
        "\x01\x01",
        "user=a\x01auth=Bearer t\x01",
        "user=a\x01auth=Bearer t",
        "user=a\x01auth=Bearer t\x01\x01\x01",
        "user=a\x01auth=Bearer t\x01\x01x",
        "auth=Bearer t\x01user=a\x01\x01",
        "user=a\x01user=b\x01auth=Bearer t\x01\x01",
        "user=a\x01auth=Bearer t\x01auth=Bearer u\x01\x01",
        "user=a\x01auth=Bearer t\x01host=h\x01\x01",
        "user=\x01auth=Bearer t\x01\x01",
        "auth=Bearer t\x01\x01",
        "user=a\x01\x01",
        "user=a\x01auth=\x01\x01",
        "user=a\x01auth=Bearer\x01\x01",
        "user=a\x01auth=Bearer \x01\x01",
        "user=a\x01auth=Bearert\x01\x01",
        "user=a\x01auth=Bearer  t\x01\x01",
        "user=a\x01auth=Bearer t \x01\x01",
        "user=a\x01auth=Bearer t u\x01\x01",
        "user=a\x01auth=Bearer t\tu\x01\x01",
        "user=a\x01auth=Basic t\x01\x01",
        "user=a\x01auth=MAC t\x01\x01",
        "User=a\x01auth=Bearer t\x01\x01",
        "user=a\x01Auth=Bearer t\x01\x01",
        " user=a\x01auth=Bearer t\x01\x01",
        "user=a\0b\x01auth=Bearer t\x01\x01",
        "user=a\r\nb\x01auth=Bearer t\x01\x01",
        "user=a\x7f\x01auth=Bearer t\x01\x01",
        "user=a\x01auth=Bearer t\0\x01\x01",
        "user=a\x01auth=Bearer t\r\n\x01\x01",
        "user=a\x01auth=Bearer té\x01\x01",
        "user=a\x02auth=Bearer t\x02\x02",
        "n,a=a@b.test,\x01auth=Bearer t\x01\x01",
    ] {
        assert!(refused("XOAUTH2", message), "{message:?}");
    }
}

#[test]
fn an_oauthbearer_message_names_user_and_token() {
    let user = Some(String::from("a@b.test"));
    for (message, user) in [
        ("n,a=a@b.test,\x01auth=Bearer t\x01\x01", user.clone()),
        ("y,a=a@b.test,\x01auth=Bearer t\x01\x01", user.clone()),
        ("n,a=a@b.test,\x01host=h\x01port=143\x01auth=Bearer t\x01\x01", user.clone()),
        ("n,a=a@b.test,\x01auth=bearer   t\x01port=143\x01host=\x01\x01", user.clone()),
        ("n,a=a@b.test,\x01auth=Bearer t\x01mthd=POST\x01qs=a=b&c\x01\x01", user),
        ("n,,\x01auth=Bearer t\x01\x01", None),
        ("n,a=a=2Cb=3Dc@b.test,\x01auth=Bearer t\x01\x01", Some("a,b=c@b.test".into())),
    ] {
        assert_eq!(found("OAUTHBEARER", message), Ok((user.clone(), "t".into())), "{message:?}");
        assert_eq!(found("OAuthBearer", message), Ok((user, "t".into())), "{message:?}");
    }
}

#[test]
fn an_oauthbearer_message_of_any_other_form_is_refused() {
    for message in [
        "",
        "\x01",
        "n,,\x01\x01",
        "n,,",
        "n,,\x01auth=Bearer t\x01",
        "n,,\x01auth=Bearer t",
        "n,,auth=Bearer t\x01\x01",
        "n,,\x01auth=Bearer t\x01\x01\x01",
        "n,,\x01\x01auth=Bearer t\x01\x01",
        "n,,\x01auth=Bearer t\x01\x01x",
        "n,\x01auth=Bearer t\x01\x01",
        "n\x01auth=Bearer t\x01\x01",
        ",,\x01auth=Bearer t\x01\x01",
        "n,a=a\x01auth=Bearer t\x01\x01",
        "n,a=,\x01auth=Bearer t\x01\x01",
        "n,a,\x01auth=Bearer t\x01\x01",
        "n,b=a,\x01auth=Bearer t\x01\x01",
        "n,a=a,b,\x01auth=Bearer t\x01\x01",
        "n,a=a,,\x01auth=Bearer t\x01\x01",
        "n,a=a=b,\x01auth=Bearer t\x01\x01",
        "n,a=a=2c,\x01auth=Bearer t\x01\x01",
        "n,a=a=,\x01auth=Bearer t\x01\x01",
        "n,a=a=2,\x01auth=Bearer t\x01\x01",
        "N,,\x01auth=Bearer t\x01\x01",
        "F,n,,\x01auth=Bearer t\x01\x01",
        "p=tls-unique,,\x01auth=Bearer t\x01\x01",
        "n,,\x01auth=Bearer t\x01auth=Bearer u\x01\x01",
        "n,,\x01auth=Bearer t\x01auth=Bearer t\x01\x01",
        "n,,\x01host=a\x01host=b\x01auth=Bearer t\x01\x01",
        "n,,\x01port=1\x01port=1\x01auth=Bearer t\x01\x01",
        "n,,\x01user=b\x01auth=Bearer t\x01\x01",
        "n,,\x01host\x01auth=Bearer t\x01\x01",
        "n,,\x01=x\x01auth=Bearer t\x01\x01",
        "n,,\x01a1=x\x01auth=Bearer t\x01\x01",
        "n,,\x01auth=Bearer t\x01x=a\r\nb\x01\x01",
        "n,,\x01host=a\0\x01auth=Bearer t\x01\x01",
        "n,a=a\n,\x01auth=Bearer t\x01\x01",
        "n,,\x01auth=Basic t\x01\x01",
        "n,,\x01auth=Bearer\x01\x01",
        "n,,\x01auth=Bearer \x01\x01",
        "n,,\x01auth=Bearer\tt\x01\x01",
        "n,,\x01auth=Bearer \tt\x01\x01",
        "n,,\x01auth=Bearer \r\nt\x01\x01",
        "n,,\x01auth=Bearer t u\x01\x01",
        "n,,\x01AUTH=Bearer t\x01\x01",
        "user=a@b.test\x01auth=Bearer t\x01\x01",
    ] {
        assert!(refused("OAUTHBEARER", message), "{message:?}");
    }
}

#[test]
fn other_mechanisms_are_not_spoken() {
    let response = STANDARD.encode("user=a@b.test\x01auth=Bearer t\x01\x01");
    for mechanism in
        ["", "PLAIN", "LOGIN", "EXTERNAL", "XOAUTH", "XOAUTH2 ", "OAUTHBEARER-PLUS", "OAUTH10A", "XOAUTH2\0"]
    {
        assert_eq!(read(mechanism, response.as_bytes()).err(), Some(DenyReason::MechanismUnsupported), "{mechanism:?}");
    }
}

#[test]
fn base64_has_one_spelling() {
    let message = "user=a@b.test\x01auth=Bearer tok\x01\x01";
    let good = STANDARD.encode(message);
    assert!(good.ends_with('='), "the sample is padded");
    assert!(read("XOAUTH2", good.as_bytes()).is_ok());
    // The last character before the padding holds bits that must be zero.
    let mut bits = good.clone().into_bytes();
    let last = good.trim_end_matches('=').len() - 1;
    bits[last] += 1;
    let bits = String::from_utf8(bits).unwrap();
    for bad in [
        STANDARD_NO_PAD.encode(message),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{}\r\n{}", &good[..8], &good[8..]),
        format!("{good}{good}"),
        good.replace('=', "%3D"),
        bits,
    ] {
        assert_eq!(read("XOAUTH2", bad.as_bytes()).err(), Some(DenyReason::MessageMalformed), "{bad:?}");
    }
    let url_alphabet = base64::engine::general_purpose::URL_SAFE.encode("user=???>>>\x01auth=Bearer tok~\x01\x01");
    assert!(url_alphabet.contains(['-', '_']));
    assert_eq!(read("XOAUTH2", url_alphabet.as_bytes()).err(), Some(DenyReason::MessageMalformed));
}

#[test]
fn sizes_are_bounded() {
    let of = |size: usize| found("XOAUTH2", format!("user=a@b.test\x01auth=Bearer {}\x01\x01", "t".repeat(size)));
    assert!(of(MAX_TOKEN).is_ok());
    assert_eq!(of(MAX_TOKEN + 1), Err(DenyReason::TooLarge));
    let response = vec![b'A'; MAX_RESPONSE + 1];
    assert_eq!(read("XOAUTH2", &response).err(), Some(DenyReason::TooLarge));
    assert_eq!(read("XOAUTH2", &response[..MAX_RESPONSE]).err(), Some(DenyReason::MessageMalformed));
}

/// A byte outside of user and token is changed, taken out or doubled.
#[derive(Clone, Copy, Debug)]
enum Change {
    To(u8),
    Out,
    Double,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![any::<u8>().prop_map(Change::To), Just(Change::Out), Just(Change::Double)]
}

proptest! {
    #[test]
    fn no_change_of_the_grammar_yields_another_token_or_mailbox(
        mechanism in prop_oneof![Just("XOAUTH2"), Just("OAUTHBEARER")],
        user in "[a-z.]{1,8}@[a-z]{1,8}\\.test",
        token in "[A-Za-z0-9_-]{1,12}\\.[A-Za-z0-9_-]{1,12}\\.[A-Za-z0-9_-]{1,12}",
        at in any::<prop::sample::Index>(),
        change in change(),
    ) {
        let (before, between) = match mechanism {
            "XOAUTH2" => ("user=", "\x01auth=Bearer "),
            _ => ("n,a=", ",\x01host=imap.example.test\x01port=993\x01auth=Bearer "),
        };
        let message = format!("{before}{user}{between}{token}\x01\x01").into_bytes();
        let grammar: Vec<usize> = (0..message.len())
            .filter(|at| !(before.len()..before.len() + user.len()).contains(at))
            .filter(|at| !(message.len() - 2 - token.len()..message.len() - 2).contains(at))
            .collect();
        let at = grammar[at.index(grammar.len())];
        let mut changed = message.clone();
        match change {
            Change::To(byte) => changed[at] = byte,
            Change::Out => drop(changed.remove(at)),
            Change::Double => changed.insert(at, message[at]),
        }
        match found(mechanism, &changed) {
            Err(reason) => prop_assert_eq!(reason, DenyReason::MessageMalformed),
            Ok((found_user, found_token)) => {
                prop_assert_eq!(found_token, token);
                // Bytes typed before or after the name belong to it; none of them moves it to an address of its own.
                let found_user = found_user.unwrap_or_default();
                prop_assert!(found_user.contains(&user), "{found_user}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(user in "[!-+\\--<>-~]{1,20}", token in "[!-~]{1,40}") {
        let read = found("OAUTHBEARER", format!("n,a={user},\x01auth=Bearer {token}\x01\x01"));
        prop_assert_eq!(read, Ok((Some(user.clone()), token.clone())));
        let read = found("XOAUTH2", format!("user={user}\x01auth=Bearer {token}\x01\x01"));
        prop_assert_eq!(read, Ok((Some(user), token)));
    }

    #[test]
    fn no_bytes_make_it_panic(
        mechanism in prop_oneof![Just("XOAUTH2"), Just("OAUTHBEARER")],
        response in proptest::collection::vec(any::<u8>(), 0..200),
        message in "(user=|n,|y,|a=|auth=Bearer |[a,=\x01\x02 ]){0,20}",
    ) {
        let _ = read(mechanism, &response);
        let _ = read(mechanism, STANDARD.encode(message).as_bytes());
    }
}
