//! The limits of work as an operator meets them: the real program, a flood at its door, and `octroi throttle`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_psc::{Deviation, Psc, doctor_one};
use octroi_tests::sidecar::{Settings, Sidecar};

/// Shows a token at the introspection door as Dovecot does for a client at this address. Gives the whole answer.
fn introspect(sidecar: &Sidecar, token: &str, client: &str) -> String {
    let door = sidecar.introspection();
    let basic = STANDARD.encode(format!("introspection:{}", door.secret));
    let length = "token=".len() + token.len();
    let mut stream = TcpStream::connect(("127.0.0.1", door.port)).unwrap();
    let head = format!(
        "POST /introspect HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {basic}\r\n\
         X-Dovecot-Auth-Remote: {client}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}token={token}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn octroi(sidecar: &Sidecar, arguments: &[&str]) -> String {
    let output = sidecar.run(arguments).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_who_floods_and_can_forget_it() {
    let psc = Psc::start().await.unwrap();
    let more = "[throttle]\nbad_signatures_per_minute = 1\nexempt = [\"192.0.2.10\"]\n".to_owned();
    let sidecar = Sidecar::start(&psc, &Settings { more, ..Settings::default() }).unwrap();
    assert_eq!(octroi(&sidecar, &["throttle", "list"]), "no address has caused work for nothing\n");
    for _ in 0..51 {
        let bad = psc.token(&doctor_one()).deviate(Deviation::BadSignature).unwrap().mint();
        for client in ["[2001:db8:1:2::7]:4711", "192.0.2.10:4711"] {
            assert!(introspect(&sidecar, &bad, client).ends_with(r#"{"active":false}"#));
        }
    }
    let list = octroi(&sidecar, &["throttle", "list"]);
    let row = list.lines().find(|line| line.contains("2001:db8:1:2::/64")).unwrap_or_else(|| panic!("{list}"));
    for part in ["signatures that do not hold", "51", "for "] {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert!(!list.contains("192.0.2.10"), "an exempt address is charged:\n{list}");
    // A good token from there is let in.
    let good = psc.token(&doctor_one()).mint();
    assert!(introspect(&sidecar, &good, "[2001:db8:1:2::8]:4711").contains(r#""active":true"#));
    assert_eq!(octroi(&sidecar, &["throttle", "clear", "2001:db8:1:2::/64"]), "2001:db8:1:2::/64: 1 forgotten\n");
    assert_eq!(octroi(&sidecar, &["throttle", "list"]), "no address has caused work for nothing\n");
    let refused = sidecar.run(&["throttle", "clear", "everybody"]).unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected an IP address"));
    assert_eq!(octroi(&sidecar, &["throttle", "clear", "--all"]), "all addresses: 0 forgotten\n");
}
