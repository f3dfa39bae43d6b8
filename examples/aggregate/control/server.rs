//! The first node's side of the socket.

use std::fs;
use std::io::{self, BufReader};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Answer;
use super::orders::Orders;
use super::words::{read, write};

/// How long a client may take to say what it wants, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that takes orders, one connection after the other, until it is dropped: then its name is gone.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
}

impl Control {
    /// Listens at `path`, for who has this process' user only. A socket that an earlier machine left there
    /// is replaced, but not that of one that runs.
    pub(crate) fn listen(path: &Path, orders: Orders) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            if UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                for client in listener.incoming() {
                    let served = client.and_then(|client| serve(&client, &orders));
                    if let Err(error) = served {
                        tracing::info!(%error, "a client of the control socket");
                    }
                }
            })?;
        let path = path.to_owned();
        Ok(Self { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

fn serve(client: &UnixStream, orders: &Orders) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut to = client;
    let request = match read(&mut BufReader::new(client)) {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(()),
        Err(error) => {
            let why = format!("this is no request: {error}");
            return write(&mut to, &Answer::Failed { why });
        }
    };
    tracing::info!(?request, "an order");
    // A client that has gone does not end what it began.
    let mut tell = |answer: Answer| drop(write(&mut to, &answer));
    let last = match orders.carry_out(&request, &mut tell) {
        Ok(said) => Answer::Done { said },
        Err(why) => Answer::Failed { why },
    };
    write(&mut to, &last)
}
