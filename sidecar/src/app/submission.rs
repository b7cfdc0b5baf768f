//! Opens the doors for Postfix and Exim: unix sockets and loopback addresses that one user alone may connect to.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use nix::unistd::{Gid, Uid, User};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_stream::wrappers::ReceiverStream;

use super::doors::{Running, bind};
use super::record;
use crate::config::{self, Postfix};
use crate::doors::delegation::{DelegationDoor, DelegationParts};
use crate::doors::join::Joins;
use crate::doors::loopback::LoopbackDoor;
use crate::doors::sasl::{Offer, SaslDoor, SaslParts};
use crate::doors::streams::{self, Conversing, StreamLimits};
use crate::doors::unix::UnixDoor;

impl Running {
    /// Opens both doors, each on its socket and, where configured, on its address.
    ///
    /// # Errors
    /// The user does not exist, a socket can't be made for it, or an address is taken.
    pub(super) fn open_postfix(&mut self, postfix: &Postfix) -> anyhow::Result<()> {
        let user = account(&postfix.user)?;
        let sasl_socket = open(&postfix.sasl_socket, user)?;
        let delegation_socket = open(&postfix.delegation_socket, user)?;
        let listen = |address: &Option<SocketAddr>| address.map(|address| listen(address, user.0)).transpose();
        let (sasl_tcp, delegation_tcp) = (listen(&postfix.sasl_listen)?, listen(&postfix.delegation_listen)?);
        let certificates = postfix.certificate_sasl_socket.as_ref().map(|path| open(path, user)).transpose()?;
        let ground = self.ground();
        let joins = Arc::new(Joins::new(Joins::CAPACITY, Joins::LIFE_SECONDS));
        let sasl = |offer| {
            Arc::new(SaslDoor::new(SaslParts {
                judge: Arc::clone(&ground.gate).into(),
                store: Arc::clone(&ground.store),
                offer,
                joins: Arc::clone(&joins),
                clock: ground.clock.clone(),
            }))
        };
        let (sasl, external) = (sasl(Offer::Tokens), sasl(Offer::Certificates));
        let delegation = Arc::new(DelegationDoor::new(DelegationParts {
            judge: Arc::clone(&ground.gate).into(),
            joins: Arc::clone(&joins),
            certificates: Arc::clone(&ground.gate).into(),
            store: Arc::clone(&ground.store),
            witness: record::unjoined(ground.audit.clone()),
            clock: ground.clock.clone(),
        }));
        self.serve(sasl_socket.incoming(), &sasl, peer);
        self.serve(delegation_socket.incoming(), &delegation, peer);
        if let Some(door) = certificates {
            self.serve(door.incoming(), &external, peer);
        }
        if let Some(door) = sasl_tcp {
            self.serve(door.incoming(), &sasl, |_| None);
        }
        if let Some(door) = delegation_tcp {
            self.serve(door.incoming(), &delegation, |_| None);
        }
        Ok(())
    }

    /// Serves connections with a door; `peer` tells the process at the other end.
    fn serve<S, D>(&mut self, incoming: ReceiverStream<io::Result<S>>, door: &Arc<D>, peer: fn(&S) -> Option<u32>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        D: Conversing,
    {
        let (door, end) = (Arc::clone(door), self.end());
        self.spawn(streams::serve(incoming, StreamLimits::default(), end, move |stream, draining| {
            let (door, peer) = (Arc::clone(&door), peer(&stream));
            async move { door.converse(stream, peer, draining).await }
        }));
    }
}

/// Who the mail server is, by numbers.
///
/// # Errors
/// This system knows no user of that name.
pub(crate) fn account(user: &config::User) -> anyhow::Result<(Uid, Gid)> {
    match user {
        config::User::Numbers { uid, gid } => Ok((Uid::from_raw(*uid), Gid::from_raw(*gid))),
        config::User::Name(name) => {
            let user = User::from_name(name).with_context(|| format!("looking up the user {name}"))?;
            let missing = || format!("there is no user {name}: install the mail server, or correct [postfix] user");
            user.map(|user| (user.uid, user.gid)).with_context(missing)
        }
    }
}

/// Binds a socket for a user, whose group is what lets it connect to a mode 0660.
fn open(path: &Path, (user, group): (Uid, Gid)) -> anyhow::Result<UnixDoor> {
    let door = bind(path, &[user.as_raw()])?;
    give(path, group.as_raw()).with_context(|| {
        let folder = path.parent().unwrap_or(path).display();
        format!("giving {} to group {group}: run as root, or give {folder} that group and setgid", path.display())
    })?;
    Ok(door)
}

/// Listens on a loopback address for `user`.
fn listen(address: SocketAddr, user: Uid) -> anyhow::Result<LoopbackDoor> {
    let door = LoopbackDoor::bind(address, &[user.as_raw()]).with_context(|| format!("listening on {address}"))?;
    tracing::info!(address = %door.address(), "listening");
    Ok(door)
}

/// Gives a socket to a group; nothing to do where a setgid folder has done so.
pub(super) fn give(path: &Path, group: u32) -> anyhow::Result<()> {
    if std::fs::symlink_metadata(path)?.gid() == group {
        return Ok(());
    }
    ensure!(path.is_absolute(), "not an absolute path");
    Ok(std::os::unix::fs::lchown(path, None, Some(group))?)
}

/// The process at the other end, as the kernel tells. 0 is a process of another PID namespace: nobody's.
fn peer(stream: &UnixStream) -> Option<u32> {
    let pid = stream.peer_cred().ok()?.pid()?;
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}
