//! Whether the process at the other end runs: it is asked for one byte, which nobody else can send.
//!
//! That its port takes a connection proves nothing. The kernel does that, also for a process that is stopped, hangs or
//! is being dumped.
//!
//! Patience is counted in ticks of the one who asks: whoever gets no processor himself has not waited. So a machine on
//! which everything is slow lengthens everybody's patience, and only who stands still while others run is found silent.
//! Who refuses is waited for as long: then it is not asked again at once, and a process that restarts is not hurried.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncReadExt;
use tokio::time::{MissedTickBehavior, interval};

use super::lane;
use crate::base::executor::BoxFuture;
use crate::base::ids::NodeId;
use crate::base::limits::{INQUIRY_TICK_MS, INQUIRY_TICKS};
use crate::base::network::Network;

/// What came of an inquiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inquiry {
    /// The process runs.
    Answered,
    /// It did not answer, although we waited, or it is not there at all.
    Unanswered,
    /// It could not be asked, for a reason on our side.
    Unasked,
}

/// Asks the process behind a peer port whether it runs.
async fn inquire(network: &dyn Network, address: &str) -> Inquiry {
    patiently(ask(network, address)).await
}

/// Inquiries that are under way, one after a node at a time.
pub struct Inquiring {
    network: Arc<dyn Network>,
    asked: BTreeSet<NodeId>,
    under_way: FuturesUnordered<BoxFuture<'static, (NodeId, Inquiry)>>,
}

impl Inquiring {
    pub fn new(network: Arc<dyn Network>) -> Self {
        Self { network, asked: BTreeSet::new(), under_way: FuturesUnordered::new() }
    }

    /// Inquires after a node that is found at this address, unless that is being done.
    pub fn begin(&mut self, node: NodeId, address: String) {
        if self.asked.insert(node) {
            let network = Arc::clone(&self.network);
            self.under_way.push(Box::pin(async move { (node, inquire(&*network, &address).await) }));
        }
    }

    /// What came of the next one; waits for ever while there is none.
    pub async fn next(&mut self) -> (NodeId, Inquiry) {
        let Some((node, inquiry)) = self.under_way.next().await else { return std::future::pending().await };
        self.asked.remove(&node);
        (node, inquiry)
    }
}

/// Waits for an answer, as long as we get to wait.
async fn patiently(answer: impl Future<Output = io::Result<u8>>) -> Inquiry {
    let mut answer = pin!(answer);
    let mut refused = None;
    let mut ticks = interval(Duration::from_millis(INQUIRY_TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..=INQUIRY_TICKS {
        tokio::select! {
            biased;
            // However late it is, an answer that is there counts.
            answer = &mut answer, if refused.is_none() => match answer {
                Ok(_) => return Inquiry::Answered,
                Err(error) => refused = Some(judged(error.kind())),
            },
            _ = ticks.tick() => {}
        }
    }
    refused.unwrap_or(Inquiry::Unanswered)
}

async fn ask(network: &dyn Network, address: &str) -> io::Result<u8> {
    let mut connection = network.connect(address).await?;
    lane::ask_for_life(&mut connection).await?;
    connection.read_u8().await
}

/// What it says about a process that it could not be asked.
fn judged(error: ErrorKind) -> Inquiry {
    use ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, TimedOut, UnexpectedEof};
    match error {
        ConnectionRefused | ConnectionReset | HostUnreachable | TimedOut | UnexpectedEof => Inquiry::Unanswered,
        _ => Inquiry::Unasked,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, advance};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(INQUIRY_TICK_MS * INQUIRY_TICKS as u64);

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_patience_lasts() {
        let begun = Instant::now();
        assert_eq!(patiently(pending()).await, Inquiry::Unanswered);
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    /// An answer that comes after so many of our ticks.
    async fn answer_after(ticks: u32) -> io::Result<u8> {
        for _ in 0..ticks {
            advance(Duration::from_millis(INQUIRY_TICK_MS)).await;
        }
        Ok(0)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_a_sign_of_life() {
        assert_eq!(patiently(answer_after(INQUIRY_TICKS - 1)).await, Inquiry::Answered);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_get_to_run_has_not_waited() {
        let stalled = async {
            advance(PATIENCE * 10).await; // nothing of ours ran, the timers neither
            answer_after(INQUIRY_TICKS / 2).await
        };
        assert_eq!(patiently(stalled).await, Inquiry::Answered);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_on_our_side_says_nothing_about_others() {
        let failed = |kind: ErrorKind| async move { Err(io::Error::from(kind)) };
        assert_eq!(patiently(failed(ErrorKind::ConnectionRefused)).await, Inquiry::Unanswered);
        assert_eq!(patiently(failed(ErrorKind::UnexpectedEof)).await, Inquiry::Unanswered);
        assert_eq!(patiently(failed(ErrorKind::AddrNotAvailable)).await, Inquiry::Unasked);
        let too_many_files = async { Err(io::Error::from_raw_os_error(24)) };
        assert_eq!(patiently(too_many_files).await, Inquiry::Unasked);
    }
}
