//! Lanes: what a connection to the peer port is for, said in its first byte.
//!
//! One byte opens no lane but asks whether anybody is there; it is answered with itself (see `inquiry.rs`).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::base::limits::LANE_GREETING_MS_MAX;
use crate::base::network::Connection;

/// What a connection between nodes carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Raft, sessions, the metadata feed: small messages that must never wait behind data.
    Control,
    /// Replication to followers that are level with their leader, or nearly.
    Live,
    /// Replication to followers that have much to copy.
    CatchUp,
}

/// The lanes' first bytes. None of them begins a Kafka frame of a sane size, HTTP, TLS or SSH.
const CONTROL: u8 = 0xd0;
const LIVE: u8 = 0xd1;
const CATCH_UP: u8 = 0xd2;
const INQUIRY: u8 = 0xd3;

/// What a stranger is told.
const STRANGER: &[u8] = b"This is the peer port of a Dohle node, where only its fellow nodes talk. \
Kafka clients connect to the port in `listeners` (default 9092), people and tools to the admin port (default 9094).\n";

impl Lane {
    fn byte(self) -> u8 {
        match self {
            Self::Control => CONTROL,
            Self::Live => LIVE,
            Self::CatchUp => CATCH_UP,
        }
    }

    /// Opens a lane on a fresh connection.
    pub async fn greet(self, connection: &mut Connection) -> io::Result<()> {
        connection.write_u8(self.byte()).await
    }

    /// Reads which lane a fresh connection is, and sends a stranger away. None: it was to learn whether this process
    /// runs, and has been told.
    pub async fn of(connection: &mut Connection) -> io::Result<Option<Self>> {
        let patience = Duration::from_millis(LANE_GREETING_MS_MAX);
        match timeout(patience, connection.read_u8()).await?? {
            CONTROL => Ok(Some(Self::Control)),
            LIVE => Ok(Some(Self::Live)),
            CATCH_UP => Ok(Some(Self::CatchUp)),
            INQUIRY => connection.write_u8(INQUIRY).await.map(|()| None),
            byte => {
                // Whether it hears us or not, it is not one of us.
                let _ = timeout(patience, connection.write_all(STRANGER)).await;
                let said = format!("the connection began with byte {byte:#04x}, which opens no lane");
                Err(io::Error::new(io::ErrorKind::InvalidData, said))
            }
        }
    }
}

/// Asks, on a fresh connection, for a byte from the process at the other end.
pub(super) async fn ask_for_life(connection: &mut Connection) -> io::Result<()> {
    connection.write_u8(INQUIRY).await
}
