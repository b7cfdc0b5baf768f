//! The program that is run once a ticket was redeemed, and what it finds in its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::User;

use crate::verdict::Refusal;

/// Whose form of the interface is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Dovecot's: the reply program is Dovecot's `checkpassword-reply`, which carries `USER` and the fields that
    /// `EXTRA` names back to it. Where the mail is, and as whom it is opened, is the userdb's affair.
    Dovecot,
    /// qmail's: the program goes on as the user and in the home.
    Qmail(Place),
}

/// As whom and where the program goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A system user.
    pub user: Option<String>,
    /// A folder; `%u` is the mailbox, `%n` its local part, `%d` its domain.
    pub home: Option<String>,
}

impl Form {
    /// Dovecot's where `ORIG_UID` stands in the environment: Dovecot sets it for its reply program, and nobody else
    /// does.
    ///
    /// # Errors
    /// [`Refusal::Misused`]: a place for Dovecot's form, or none for a process that runs as root.
    pub fn of(orig_uid: Option<&OsStr>, place: Place, is_root: bool) -> Result<Self, Refusal> {
        let wrong = |text: &str| Err(Refusal::Misused(text.to_owned()));
        match (orig_uid.is_some(), place) {
            (true, place) if place == Place::default() => Ok(Self::Dovecot),
            (true, _) => {
                wrong("--run-as and --home are not for Dovecot: its userdb says where the mail is; leave them out")
            }
            (false, Place { user: None, .. }) if is_root => {
                wrong("started as root without --run-as: name the user that owns the mail, nothing is run as root")
            }
            (false, place) => Ok(Self::Qmail(place)),
        }
    }
}

/// Whether the program could be run for this mailbox, as far as can be told before: a ticket must not be used up by
/// what the operator has to mend.
///
/// # Errors
/// What is wrong with the program's place.
pub fn check(form: &Form, mailbox: &str, program: &[OsString]) -> Result<(), Refusal> {
    command(form, mailbox, program).map(drop)
}

/// Becomes the program. Returns only where that fails.
#[must_use]
pub fn run(form: &Form, mailbox: &str, program: &[OsString]) -> Refusal {
    let mut command = match command(form, mailbox, program) {
        Ok(command) => command,
        Err(refusal) => return refusal,
    };
    let error = command.exec();
    Refusal::Unavailable(format!("{} can't be run: {error}", command.get_program().display()))
}

fn command(form: &Form, mailbox: &str, program: &[OsString]) -> Result<Command, Refusal> {
    let [name, arguments @ ..] = program else {
        return Err(Refusal::Misused("expected a program to run on success".to_owned()));
    };
    let mut command = Command::new(name);
    command.args(arguments).env("USER", mailbox);
    match form {
        // A home would become a field of the userdb. No answer was seen to come from a cache; this asks for none.
        Form::Dovecot => command.env_remove("HOME").env("EXTRA", "nocache").env("nocache", "y"),
        Form::Qmail(place) => settle(&mut command, place, mailbox)?,
    };
    Ok(command)
}

fn settle<'c>(command: &'c mut Command, place: &Place, mailbox: &str) -> Result<&'c mut Command, Refusal> {
    if let Some(home) = &place.home {
        let home = expand(home, mailbox)?;
        command.env("HOME", &home).current_dir(home);
    }
    if let Some(name) = &place.user {
        let user = User::from_name(name).map_err(|error| Refusal::Unavailable(format!("user {name}: {error}")))?;
        let user = user.ok_or_else(|| Refusal::Unavailable(format!("there is no user {name}: correct --run-as")))?;
        command.env("SHELL", &user.shell).gid(user.gid.as_raw()).uid(user.uid.as_raw());
    }
    Ok(command)
}

/// A home folder. A mailbox with a slash has none: it could lie anywhere.
fn expand(pattern: &str, mailbox: &str) -> Result<PathBuf, Refusal> {
    let (local, domain) = mailbox.split_once('@').unwrap_or((mailbox, ""));
    if mailbox.contains('/') || [local, domain].iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err(Refusal::Unavailable("the name of the mailbox can't be that of a folder".to_owned()));
    }
    let mut home = String::with_capacity(pattern.len() + mailbox.len());
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        match (next, next == '%') {
            (_, true) => match rest.next() {
                Some('u') => home.push_str(mailbox),
                Some('n') => home.push_str(local),
                Some('d') => home.push_str(domain),
                Some('%') => home.push('%'),
                _ => return Err(Refusal::Misused("--home knows %u, %n, %d and %% alone".to_owned())),
            },
            (plain, false) => home.push(plain),
        }
    }
    Ok(home.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(user: Option<&str>, home: Option<&str>) -> Place {
        Place { user: user.map(str::to_owned), home: home.map(str::to_owned) }
    }

    #[test]
    fn the_form_is_dovecots_where_dovecot_says_so() {
        let dovecot = Some(OsStr::new("102"));
        assert_eq!(Form::of(dovecot, Place::default(), true), Ok(Form::Dovecot));
        assert!(matches!(Form::of(dovecot, place(Some("mail"), None), false), Err(Refusal::Misused(_))));
        let own = place(None, Some("/mail/%u"));
        assert_eq!(Form::of(None, own.clone(), false), Ok(Form::Qmail(own)));
    }

    #[test]
    fn dovecots_reply_program_gets_no_home_and_may_not_be_cached() {
        let command = command(&Form::Dovecot, "a@x.test", &["reply".into(), "argument".into()]).unwrap();
        let environment: Vec<_> = command.get_envs().collect();
        let set = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        assert_eq!(set("HOME"), Some(None), "a home of the caller's would become the mailbox's");
        for (name, value) in [("USER", "a@x.test"), ("EXTRA", "nocache"), ("nocache", "y")] {
            assert_eq!(set(name), Some(Some(OsStr::new(value))), "{name}");
        }
        assert!(super::command(&Form::Dovecot, "a@x.test", &[]).is_err(), "no program");
    }

    #[test]
    fn nothing_is_run_as_root() {
        assert!(matches!(Form::of(None, place(None, Some("/mail/%u")), true), Err(Refusal::Misused(_))));
        let mail = place(Some("mail"), None);
        assert_eq!(Form::of(None, mail.clone(), true), Ok(Form::Qmail(mail)));
    }

    #[test]
    fn a_home_is_made_of_the_mailbox_and_stays_in_its_folder() {
        let of = |pattern: &str, mailbox: &str| expand(pattern, mailbox).map_err(|refusal| refusal.status());
        assert_eq!(of("/mail/%d/%n", "a.b@x.test"), Ok(PathBuf::from("/mail/x.test/a.b")));
        assert_eq!(of("/mail/%u%%", "a@x.test"), Ok(PathBuf::from("/mail/a@x.test%")));
        assert_eq!(of("/mail/%h", "a@x.test"), Err(2));
        assert_eq!(of("/mail/%", "a@x.test"), Err(2));
        for mailbox in ["../etc@x.test", "a/b@x.test", "..@x.test", ".@x.test", "@x.test", "a@", ""] {
            assert_eq!(of("/mail/%n", mailbox), Err(111), "{mailbox}");
        }
    }
}
