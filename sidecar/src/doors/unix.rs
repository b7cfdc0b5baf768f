//! A unix socket whose peers are known: the kernel tells who connects (SO_PEERCRED, unix(7)), and only listed users
//! get in.
//!
//! The socket's mode 0660 keeps strangers out before that; the list is what decides.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::ReceiverStream;

use super::admission::{Admission, Listener};

/// A socket that is bound; its file goes when this does.
#[derive(Debug)]
pub struct UnixDoor {
    listener: UnixListener,
    admission: Admission,
    file: SocketFile,
}

impl UnixDoor {
    /// Binds `path` for the users in `uids`. Within a runtime. A socket file left behind by a crash is replaced; one on
    /// which somebody listens, and any other kind of file, is left alone.
    ///
    /// # Errors
    /// The folder can't be made, somebody listens there already, or something else stands at `path`.
    pub fn bind(path: &Path, uids: &[u32]) -> io::Result<Self> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let (listener, file) = SocketFile::bind(path).map_err(told)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self { listener, admission: Admission::new(uids), file })
    }

    /// Peers refused since the start.
    #[must_use]
    pub fn refused(&self) -> Arc<AtomicU64> {
        self.admission.refused()
    }

    /// Connections of listed users, for as long as the stream is held.
    #[must_use]
    pub fn incoming(self) -> ReceiverStream<io::Result<UnixStream>> {
        self.admission.incoming(Bound { listener: self.listener, file: self.file })
    }
}

/// The socket, once connections are taken.
struct Bound {
    listener: UnixListener,
    file: SocketFile,
}

impl Listener for Bound {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    async fn user(&self, stream: &UnixStream) -> Option<u32> {
        stream.peer_cred().ok().map(|peer| peer.uid())
    }

    fn place(&self) -> String {
        self.file.path.display().to_string()
    }
}

/// The file of a bound socket and the lock that says it is in use.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Held for as long as the socket: of two that start together only one replaces what is left behind.
    _lock: File,
}

impl SocketFile {
    fn bind(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, Self)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(beside(path, "lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                let what = "something that is no socket stands there; move it away";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => return Err(in_use()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Bound under another name and moved: nobody ever meets the socket with a wider mode, or none at all.
        let draft = beside(path, "new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(&draft)?;
        fs::set_permissions(&draft, Permissions::from_mode(0o660))?;
        let inode = fs::symlink_metadata(&draft)?.ino();
        fs::rename(&draft, path)?;
        Ok((listener, Self { path: path.to_owned(), inode, _lock: lock }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Only our own: another may have been put in its place by hand.
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            // What can't be removed is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there already; is another sidecar running?")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;
    use std::sync::atomic::Ordering;

    fn me() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[tokio::test]
    async fn a_listed_user_gets_in_and_the_socket_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/door.sock");
        let mut incoming = UnixDoor::bind(&path, &[me()]).unwrap().incoming();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let mut client = UnixStream::connect(&path).await.unwrap();
        let mut server = incoming.next().await.unwrap().unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_user_that_is_not_listed_is_closed_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        let door = UnixDoor::bind(&path, &[me() + 1]).unwrap();
        let refused = door.refused();
        let _incoming = door.incoming();
        for count in 1..=3 {
            let mut client = UnixStream::connect(&path).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(refused.load(Ordering::SeqCst), count);
        }
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let door = UnixDoor::bind(&path, &[me()]).unwrap();
        assert_eq!(UnixDoor::bind(&path, &[me()]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(door);
        assert!(!path.exists());
        // Somebody else's, without our lock.
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(UnixDoor::bind(&path, &[me()]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        fs::write(&path, "precious").unwrap();
        assert!(UnixDoor::bind(&path, &[me()]).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn dropping_the_connections_closes_the_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        drop(UnixDoor::bind(&path, &[me()]).unwrap().incoming());
        while path.exists() {
            tokio::task::yield_now().await;
        }
        assert!(UnixStream::connect(&path).await.is_err());
    }
}
