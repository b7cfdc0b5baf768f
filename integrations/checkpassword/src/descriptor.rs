//! Descriptor 3, on which the caller hands over name and password.

use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;

use zeroize::Zeroizing;

use crate::request::MAX;

/// Reads descriptor 3 to its end, one byte beyond [`MAX`] at most, and closes it, as the interface asks. To be called
/// once, before this process opens anything.
///
/// # Errors
/// The descriptor is not open, or can't be read.
pub fn read() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = ManuallyDrop::new(handed_over());
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX + 1));
    let limit = u64::try_from(MAX + 1).unwrap_or(u64::MAX);
    let read = Read::by_ref(&mut *file).take(limit).read_to_end(&mut bytes);
    // One that was never open is not ours to close.
    if !matches!(&read, Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EBADF as i32)) {
        drop(ManuallyDrop::into_inner(file));
    }
    read.map(|_| bytes)
}

#[expect(unsafe_code, reason = "there is no other way to take over a descriptor that the caller left open")]
fn handed_over() -> File {
    // SAFETY: the interface gives descriptor 3 to this process alone, and nothing here has opened one before.
    unsafe { File::from_raw_fd(3) }
}
