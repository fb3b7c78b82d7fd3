//! Whom a command asks: the node's address, the connection to it, and what its refusals mean for us.

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};

use crate::base::World;
use crate::base::limits::{ADMIN_ANSWER_MS_MAX, ADMIN_CONNECT_MS_MAX};
use crate::cli::{Exit, Output};
use crate::net;

const VARIABLE: &str = "DOHLE_ADMIN";
const DEFAULT: &str = "localhost:9094";

#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// The admin address of any node [env: DOHLE_ADMIN] [default: localhost:9094]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// How the answer is written
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

impl Target {
    pub(super) fn address(&self, environment: impl Iterator<Item = (String, String)>) -> String {
        self.named(environment).unwrap_or_else(|| DEFAULT.to_owned())
    }

    /// The address that somebody has named. The flag beats the environment. An empty variable is none.
    pub(super) fn named(&self, environment: impl Iterator<Item = (String, String)>) -> Option<String> {
        let mut environment = environment.filter(|(name, value)| name == VARIABLE && !value.is_empty());
        self.admin.clone().or_else(|| environment.next().map(|(_, value)| value))
    }
}

/// Why a command failed, and what it exits with.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

/// The node that is asked.
pub(super) struct Node {
    address: String,
    channel: Channel,
}

impl Node {
    pub(super) async fn connect(address: String, world: &World) -> Result<Self, Failure> {
        let dial = async {
            let connection = world.network.connect(&address).await?;
            net::over(connection, net::Lane::Control).await.map_err(io::Error::other)
        };
        let dialled = timeout(Duration::from_millis(ADMIN_CONNECT_MS_MAX), dial).await;
        match dialled.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))) {
            Ok(channel) => Ok(Self { address, channel }),
            Err(why) => Err(unreachable(&address, &why)),
        }
    }

    /// What the client of a service is made of.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Waits for an answer.
    pub(super) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match timeout(Duration::from_millis(ADMIN_ANSWER_MS_MAX), call).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| self.refused(&status)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Waits for a list that is sent in parts, to its end.
    pub(super) async fn list<T>(
        &self,
        call: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
    ) -> Result<Vec<T>, Failure> {
        let mut stream = self.answer(call).await?;
        let mut all = Vec::new();
        loop {
            let next = timeout(Duration::from_millis(ADMIN_ANSWER_MS_MAX), stream.message()).await;
            match next.map_err(|_| self.silent())?.map_err(|status| self.refused(&status))? {
                Some(part) => all.push(part),
                None => return Ok(all),
            }
        }
    }

    fn silent(&self) -> Failure {
        let address = &self.address;
        let message = format!("{address} has not answered within {} s", ADMIN_ANSWER_MS_MAX / 1000);
        Failure { exit: Exit::CannotConnect, message }
    }

    /// A node's refusal, in its own words.
    pub(super) fn refused(&self, status: &Status) -> Failure {
        let address = &self.address;
        // A refusal that has a cause was never sent: the connection made it.
        if let Some(cause) = status.source() {
            let cause = innermost(cause);
            let hint = format!("is it a node's admin port? set --admin or {VARIABLE}");
            let message = format!("no answer from {address}: {cause}: {hint}");
            return Failure { exit: Exit::CannotConnect, message };
        }
        let exit = match status.code() {
            Code::NotFound => Exit::NotFound,
            Code::FailedPrecondition => Exit::Unsafe,
            Code::Unavailable | Code::DeadlineExceeded => Exit::CannotConnect,
            _ => Exit::Failed,
        };
        let message = match (status.code(), status.message()) {
            (code, "") => format!("{address} refused: {code}"),
            (Code::Unavailable, said) => format!("{address} cannot do it now: {said}"),
            (_, said) => said.to_owned(),
        };
        Failure { exit, message }
    }
}

fn unreachable(address: &str, why: &io::Error) -> Failure {
    if why.kind() == io::ErrorKind::InvalidInput {
        let message = format!("{address:?} is no address: --admin and {VARIABLE} want HOST:PORT, as in {DEFAULT}");
        return Failure { exit: Exit::Usage, message };
    }
    let hint = format!("is a node running there? set --admin or {VARIABLE}");
    Failure { exit: Exit::CannotConnect, message: format!("cannot connect to {address}: {why}: {hint}") }
}

/// The cause of causes: what lies above it is about layers.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_environment_which_beats_the_default() {
        let target = |admin: Option<&str>| Target { admin: admin.map(str::to_owned), output: Output::Table };
        let with = |value: &str| vec![("HOME".to_owned(), "/".to_owned()), (VARIABLE.to_owned(), value.to_owned())];
        assert_eq!(target(Some("a:1")).address(with("b:2").into_iter()), "a:1");
        assert_eq!(target(None).address(with("b:2").into_iter()), "b:2");
        assert_eq!(target(None).address(with("").into_iter()), DEFAULT);
        assert_eq!(target(None).address(std::iter::empty()), DEFAULT);
    }

    #[test]
    fn nobody_there_and_no_address_are_two_different_mistakes() {
        let refused = unreachable("localhost:9094", &io::Error::from(io::ErrorKind::ConnectionRefused));
        let said = "cannot connect to localhost:9094: connection refused: is a node running there? \
                    set --admin or DOHLE_ADMIN";
        assert_eq!(refused, Failure { exit: Exit::CannotConnect, message: said.to_owned() });
        let wrong = unreachable("9094", &io::Error::from(io::ErrorKind::InvalidInput));
        let said = "\"9094\" is no address: --admin and DOHLE_ADMIN want HOST:PORT, as in localhost:9094";
        assert_eq!(wrong, Failure { exit: Exit::Usage, message: said.to_owned() });
    }
}
