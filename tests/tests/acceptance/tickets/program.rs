//! The program alone: qmail's form with a reply program of the test's own, and whatever a caller may write to
//! descriptor 3.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use octroi_psc::doctor_one;

use super::site::Site;
use crate::stage::{DEUX, UN};

/// What runs on success: tells where and as whom it runs, and whether descriptor 3 is closed.
const REPLY: &str = r#"if [ -e /proc/self/fd/3 ]; then fd=open; else fd=closed; fi
echo "$USER $HOME $PWD $(id -u):$(id -g):$(id -G) $fd $*""#;

/// A caller's call: what stands on descriptor 3, as whom, with which options and environment.
struct Call<'a> {
    site: &'a Site,
    uid: u32,
    options: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
}

impl Call<'_> {
    /// As tcpserver and qmail-popup make it.
    fn make(&self, descriptor: &[u8]) -> Result<Output> {
        let socket = self.site.meeting.socket();
        let mut command = Command::new("setpriv");
        let uid = self.uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]);
        command.args(["/bin/sh", "-c", "exec \"$@\" 3<&0 </dev/null", "caller"]).arg(self.site.meeting.program());
        command.arg("--socket").arg(socket).args(self.options).args(["/bin/sh", "-c", REPLY, "reply", "one", "two"]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(self.environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
        let mut process = command.spawn()?;
        // Whoever has read enough does not wait for the rest.
        let _ = process.stdin.take().context("no pipe")?.write_all(descriptor);
        Ok(process.wait_with_output()?)
    }

    /// The exit status and what was told; nothing may have run.
    fn refused(&self, descriptor: &[u8]) -> Result<(i32, String)> {
        let output = self.make(descriptor)?;
        ensure!(output.stdout.is_empty(), "something was run: {}", String::from_utf8_lossy(&output.stdout));
        Ok((output.status.code().context("killed")?, String::from_utf8(output.stderr)?))
    }
}

fn root(site: &Site) -> Call<'_> {
    Call { site, uid: 0, options: &["--run-as", "mail"], environment: &[("TCPREMOTEIP", "192.0.2.9")] }
}

fn written(user: &str, password: &str) -> Vec<u8> {
    format!("{user}\0{password}\0<1896.697170952@host.example.test>\0").into_bytes()
}

#[tokio::test]
async fn in_qmails_form_the_program_goes_on_as_the_user_in_the_home() -> Result<()> {
    let site = Site::start("", "").await?;
    let ticket = site.issue(&doctor_one(), UN, false).await?;
    let home = format!("{}/mail/%u", site.server.folder().display());
    let call = Call { options: &["--run-as", "mail", "--home", &home], ..root(&site) };
    let home = home.replace("%u", UN);
    // The folder is its owner's alone.
    let mail = |database| site.meeting.number_of(database, "mail");
    std::os::unix::fs::chown(&home, Some(mail("passwd")?), Some(mail("group")?))?;
    std::os::unix::fs::chown(format!("{home}/.."), Some(mail("passwd")?), None)?;
    let output = call.make(&written(&UN.to_uppercase(), &ticket.0))?;
    let said = String::from_utf8(output.stdout)?;
    let (user, group) = (mail("passwd")?, mail("group")?);
    let expected = format!("{UN} {home} {home} {user}:{group}:{group} closed one two\n");
    ensure!(said == expected, "said {said:?}\nexpected {expected:?}\n{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success() && output.stderr.is_empty(), "{:?}", output.status);
    let (status, told) = call.refused(&written(UN, &ticket.0))?;
    ensure!(status == 1 && told.contains("ticket-used"), "{status} {told}");
    Ok(())
}

#[tokio::test]
async fn what_a_caller_may_write_runs_nothing() -> Result<()> {
    let site = Site::start("", "").await?;
    let ticket = site.issue(&doctor_one(), UN, false).await?;
    let good = ticket.0.as_str();
    let call = root(&site);
    let whole = [written(UN, ""), Vec::new()].concat();
    let long = |length: usize| [format!("{UN}\0{good}\0").into_bytes(), vec![b'x'; length]].concat();
    for (name, bytes, status) in [
        ("nothing", Vec::new(), 2),
        ("no NUL", UN.as_bytes().to_vec(), 2),
        ("a name", format!("{UN}\0").into_bytes(), 2),
        ("a cut ticket", format!("{UN}\0{}", &good[..30]).into_bytes(), 2),
        ("no end of the ticket", format!("{UN}\0{good}").into_bytes(), 2),
        ("no timestamp", format!("{UN}\0{good}\0").into_bytes(), 2),
        ("no end of the timestamp", format!("{UN}\0{good}\0t").into_bytes(), 2),
        ("more than 512 bytes", long(600), 1),
        ("a megabyte", long(1_000_000), 1),
        ("no password", whole, 1),
        ("NUL in the ticket", format!("{UN}\0{}\0{}\0", &good[..20], &good[20..]).into_bytes(), 1),
        ("NUL in the name", format!("docteur\0.un@bal.example.test\0{good}\0").into_bytes(), 1),
        ("a NUL before the ticket", format!("{UN}\0\0{good}\0").into_bytes(), 1),
        ("a blank behind the ticket", written(UN, &format!("{good} ")), 1),
        ("a line break in the name", written(&format!("{UN}\n"), good), 1),
        ("another mailbox", written(DEUX, good), 1),
        ("no mailbox", written("root", good), 1),
        ("no text", [b"\xff\xfe\0".as_slice(), good.as_bytes(), b"\0\0"].concat(), 1),
        ("a password", written(UN, "secret"), 1),
        ("a token", written(UN, "eyJhbGciOiJSUzI1NiJ9.eyJ9.c2lnbmF0dXJl"), 1),
    ] {
        let (said, told) = call.refused(&bytes)?;
        ensure!(said == status, "{name}: {said} instead of {status}: {told}");
        ensure!(!told.contains(&good[7..20]) && !told.contains("c2lnbmF0dXJl") && !told.contains("secret"), "{name}");
    }
    let (_, told) = call.refused(&long(600))?;
    ensure!(told.contains("more than 512 bytes") && told.contains("IssueTicket"), "{told}");
    // The ticket is as good as ever: nobody has redeemed it.
    let output = call.make(&written(UN, good))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn trouble_is_temporary_and_misuse_is_told() -> Result<()> {
    let mut site = Site::start("", "").await?;
    let ticket = site.issue(&doctor_one(), UN, false).await?;
    let good = written(UN, &ticket.0);
    let nobody = Call { uid: 65534, options: &[], ..root(&site) };
    let (status, told) = nobody.refused(&good)?;
    ensure!(status == 111 && told.contains("gate_uids"), "{status} {told}");
    // As anybody's to open, the list is what keeps out.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(site.meeting.socket(), open)?;
    let (status, told) = nobody.refused(&good)?;
    ensure!(status == 111 && told.contains("gate_uids"), "{status} {told}");
    for (options, environment, expected, word) in [
        (&[][..], &[][..], 2, "--run-as"),
        (&["--run-as", "nobody-of-that-name"], &[], 111, "nobody-of-that-name"),
        (&["--run-as", "mail", "--home", "/%h"], &[], 2, "%u"),
        (&["--home", "/mail/%u"], &[("ORIG_UID", "0")], 2, "userdb"),
        (&["--no-such-option"], &[], 2, "Usage"),
    ] {
        let (status, told) = Call { options, environment, ..root(&site) }.refused(&good)?;
        ensure!(status == expected && told.contains(word), "{options:?}: {status} {told}");
    }
    // What only the attempt can show comes too late for the ticket.
    let spent = site.issue(&doctor_one(), UN, false).await?;
    let lost = Call { options: &["--run-as", "mail", "--home", "/nowhere/%u"], ..root(&site) };
    let (status, told) = lost.refused(&written(UN, &spent.0))?;
    ensure!(status == 111 && told.contains("can't be run"), "{status} {told}");
    // A lookup without a password: as a userdb or for credentials (Dovecot sets both).
    let lookup = Call { options: &[], environment: &[("AUTHORIZED", "1"), ("ORIG_UID", "0")], ..root(&site) };
    let (status, told) = lookup.refused(&written(UN, ""))?;
    ensure!(status == 111 && told.contains("take it out of the userdb"), "{status} {told}");
    site.stage.sidecar.kill()?;
    let call = root(&site);
    let (status, told) = call.refused(&good)?;
    ensure!(status == 111 && told.contains("does the sidecar run"), "{status} {told}");
    let (status, told) = call.refused(&written(UN, "secret"))?;
    ensure!(status == 1 && told.is_empty(), "a password needs no sidecar: {status} {told}");
    Ok(())
}
