use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::local::free_port;

/// A connection between two parts of the store that can be cut: what is open breaks off, what is new is refused.
pub(super) struct Wire {
    /// Where the near end listens.
    pub(super) port: u16,
    cut: watch::Sender<bool>,
}

impl Wire {
    /// A wire to a port of this machine.
    pub(super) async fn to(far: u16) -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let (cut, seen) = watch::channel(false);
        tokio::spawn(carry(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, far)), seen));
        Ok(Self { port, cut })
    }

    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(super) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

async fn carry(listener: TcpListener, far: SocketAddr, cut: watch::Receiver<bool>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut cut = cut.clone();
        if *cut.borrow() {
            continue;
        }
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(far).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => (),
                _ = cut.wait_for(|cut| *cut) => (),
            }
        });
    }
}
