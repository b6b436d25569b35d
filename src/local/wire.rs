use std::net::{Ipv4Addr, SocketAddr};
use std::{fmt, io};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::free_port;

const BUFFER: usize = 16 << 10;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It arrives.
    Whole,
    /// What is open breaks off, what is new is refused.
    Cut,
    /// It goes nowhere, and nobody is told.
    Silent,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "mend",
            Self::Cut => "cut",
            Self::Silent => "black-hole",
        })
    }
}

/// A connection between two parts of the store that can be broken, and led elsewhere.
pub struct Wire {
    /// Where the near end listens.
    pub port: u16,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy)]
struct State {
    line: Line,
    far: u16,
}

impl Wire {
    /// A wire to a port of this machine.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn to(far: u16) -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let (state, seen) = watch::channel(State { line: Line::Whole, far });
        tokio::spawn(carry(listener, seen));
        Ok(Self { port, state })
    }

    /// Changes what becomes of what is sent.
    pub fn set(&self, line: Line) {
        self.state.send_modify(|state| state.line = line);
    }

    /// Leads what is new to another port.
    pub fn lead_to(&self, far: u16) {
        self.state.send_modify(|state| state.far = far);
    }
}

async fn carry(listener: TcpListener, state: watch::Receiver<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let (mut cut, state) = (state.clone(), state.clone());
        if state.borrow().line == Line::Cut {
            continue;
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = join(near, state) => (),
                _ = cut.wait_for(|state| state.line == Line::Cut) => (),
            }
        });
    }
}

/// Carries both ways until one end hangs up.
async fn join(near: TcpStream, mut state: watch::Receiver<State>) -> io::Result<()> {
    let far = heard(&mut state).await.far;
    let far = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, far))).await?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        ended = pump(near_in, far_out, state.clone()) => ended,
        ended = pump(far_in, near_out, state) => ended,
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        heard(&mut state).await;
        if read == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}

/// Waits until what is sent arrives.
async fn heard(state: &mut watch::Receiver<State>) -> State {
    let whole = state.wait_for(|state| state.line != Line::Silent).await.map(|state| *state);
    whole.unwrap_or_else(|_| *state.borrow())
}
