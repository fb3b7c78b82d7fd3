//! One connection to one broker: requests go out one after the other without waiting, answers come back in that order.
//!
//! Invariants: an answer belongs to the oldest request that has none, and says so by its correlation id; the first that
//! does not, the first that cannot be read and the first that is late end the connection for all requests on it.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::{ClientError, Seams};
use crate::base::executor::Task;
use crate::base::limits::{CLIENT_ANSWER_BYTES_MAX, CLIENT_PIPELINE_REQUESTS_MAX};
use crate::base::network;
use crate::wire::api::Versions;
use crate::wire::frame::next_frame;
use crate::wire::header::ResponseHeader;
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, Frame, Message, Request, RequestHeader, Text, Writer};

/// Every broker since Kafka 2.4 speaks it; a younger version could be refused, and the refusal has a form of its own.
const API_VERSIONS_VERSION: i16 = 3;

const RECEIVE_BYTES: usize = 64 * 1024;

/// A connection; clones are the same one. It ends with the last of them, or when it fails.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    address: String,
    client_id: Text,
    /// What both sides speak, once the broker has said it.
    versions: OnceLock<BTreeMap<ApiKey, Versions>>,
    correlation: AtomicI32,
    writer: Mutex<Writer>,
    queue: mpsc::Sender<Asked>,
    task: Mutex<Option<Task>>,
}

/// A request on its way.
struct Asked {
    frame: Frame,
    waiting: Waiting,
}

/// Who waits for an answer, and for which.
struct Waiting {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    answer: oneshot::Sender<Result<Bytes, ClientError>>,
}

impl Connection {
    /// Connects, and learns which versions the broker speaks.
    pub async fn open(seams: &Seams, address: &str, client_id: &Text, patience: Duration) -> Result<Self, ClientError> {
        let silent = || ClientError::Silent { address: address.to_owned(), after: patience };
        let deadline = Instant::now() + patience;
        let stream = match timeout(patience, seams.network.connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(ClientError::Unreachable { address: address.to_owned(), cause: error.to_string() });
            }
            Err(_) => return Err(silent()),
        };
        let connection = Self::over(seams, stream, address, client_id);
        connection.learn_versions(deadline).await?;
        Ok(connection)
    }

    fn over(seams: &Seams, stream: network::Connection, address: &str, client_id: &Text) -> Self {
        let (queue, asked) = mpsc::channel(CLIENT_PIPELINE_REQUESTS_MAX);
        let task = seams.executor.spawn("client.connection", Box::pin(run(stream, asked, address.to_owned())));
        Self(Arc::new(Shared {
            address: address.to_owned(),
            client_id: client_id.clone(),
            versions: OnceLock::new(),
            correlation: AtomicI32::new(0),
            writer: Mutex::new(Writer::new()),
            queue,
            task: Mutex::new(Some(task)),
        }))
    }

    async fn learn_versions(&self, deadline: Instant) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: Text::from_static("dohle"),
            client_software_version: Text::from_static(env!("CARGO_PKG_VERSION")),
            ..Default::default()
        };
        let answer = self.send_as(&request, API_VERSIONS_VERSION, deadline)?.answer().await?;
        if answer.error_code.is_error() {
            return Err(ClientError::refused("ApiVersions", answer.error_code, None));
        }
        // Set once: nobody else has this connection yet.
        let _ = self.0.versions.set(common_versions(&answer));
        Ok(())
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Whether both are the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn is_open(&self) -> bool {
        !self.0.queue.is_closed()
    }

    /// Ends the connection; whoever waits for an answer is told.
    pub fn close(&self) {
        *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sends a request behind those sent before, in the newest version that both sides speak.
    pub fn send<R: Request>(&self, request: &R, deadline: Instant) -> Result<Reply<R>, ClientError> {
        let spoken = self.0.versions.get().and_then(|versions| versions.get(&R::API));
        let Some(spoken) = spoken else {
            return Err(ClientError::Version { address: self.0.address.clone(), api: R::API });
        };
        self.send_as(request, spoken.last, deadline)
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&self, request: &R, patience: Duration) -> Result<R::Response, ClientError> {
        self.send(request, Instant::now() + patience)?.answer().await
    }

    fn send_as<R: Request>(&self, request: &R, version: i16, deadline: Instant) -> Result<Reply<R>, ClientError> {
        let header = RequestHeader {
            api: R::API,
            version,
            correlation_id: self.0.correlation.fetch_add(1, Ordering::Relaxed),
            client_id: Some(self.0.client_id.clone()),
            tagged_fields: Default::default(),
        };
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = Frame::request(&mut writer, &header, request);
        drop(writer);
        let frame = frame.map_err(|error| ClientError::Encode(error.to_string()))?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { api: R::API, version, correlation_id: header.correlation_id, answer };
        self.0.queue.try_send(Asked { frame, waiting }).map_err(|error| match error {
            TrySendError::Full(_) => ClientError::Busy { address: self.0.address.clone() },
            TrySendError::Closed(_) => self.broken(),
        })?;
        let patience = deadline.saturating_duration_since(Instant::now());
        Ok(Reply { connection: self.clone(), version, deadline, patience, answered, request: PhantomData })
    }

    fn broken(&self) -> ClientError {
        ClientError::Broken { address: self.0.address.clone(), cause: "it is closed".to_owned() }
    }
}

/// What the broker and we both speak.
fn common_versions(answer: &ApiVersionsResponse) -> BTreeMap<ApiKey, Versions> {
    let common = answer.api_keys.iter().filter_map(|theirs| {
        let api = ApiKey::from_number(theirs.api_key)?;
        let ours = api.entry().versions;
        let both = Versions { first: ours.first.max(theirs.min_version), last: ours.last.min(theirs.max_version) };
        (both.first <= both.last).then_some((api, both))
    });
    common.collect()
}

/// An answer that is yet to come.
#[must_use = "the answer says whether the request was carried out"]
pub struct Reply<R: Request> {
    connection: Connection,
    version: i16,
    deadline: Instant,
    patience: Duration,
    answered: oneshot::Receiver<Result<Bytes, ClientError>>,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Reply<R> {
    /// Waits for the answer. If it is late the connection is closed: what came later would be taken for it.
    pub async fn answer(self) -> Result<R::Response, ClientError> {
        let address = || self.connection.0.address.clone();
        let Ok(answered) = timeout_at(self.deadline, self.answered).await else {
            self.connection.close();
            return Err(ClientError::Silent { address: address(), after: self.patience });
        };
        let body = answered.unwrap_or_else(|_| Err(self.connection.broken()))?;
        R::Response::decode(self.version, body).map_err(|error| {
            self.connection.close();
            ClientError::Malformed { address: address(), cause: error.to_string() }
        })
    }
}

/// Serves a connection until it breaks; then tells everybody who still waits.
async fn run(stream: network::Connection, queue: mpsc::Receiver<Asked>, address: String) {
    let (from, to) = split(stream);
    let waiting = Mutex::new(VecDeque::new());
    let cause = tokio::select! {
        biased;
        cause = receive(from, &waiting) => cause,
        cause = transmit(to, queue, &waiting) => cause,
    };
    let broken = ClientError::Broken { address, cause };
    for waiting in waiting.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let _ = waiting.answer.send(Err(broken.clone())); // whoever has gone does not need to know
    }
}

/// Hands out answers until none can come any more; says why.
async fn receive(mut from: impl AsyncRead + Unpin, waiting: &Mutex<VecDeque<Waiting>>) -> String {
    let mut received = BytesMut::with_capacity(RECEIVE_BYTES);
    loop {
        loop {
            match next_frame(&mut received, CLIENT_ANSWER_BYTES_MAX) {
                Ok(Some(frame)) => {
                    if let Err(cause) = hand_out(frame, waiting) {
                        return cause;
                    }
                }
                Ok(None) => break,
                Err(error) => return error.to_string(),
            }
        }
        received.reserve(RECEIVE_BYTES);
        match from.read_buf(&mut received).await {
            Ok(0) => return "the broker closed it".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

/// Gives an answer to the oldest request.
fn hand_out(frame: Bytes, waiting: &Mutex<VecDeque<Waiting>>) -> Result<(), String> {
    let oldest = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let asked = oldest.ok_or("an answer came that nobody asked for")?;
    let decoded = ResponseHeader::decode(asked.api, asked.version, frame);
    let result = match decoded {
        Ok((header, body)) if header.correlation_id == asked.correlation_id => Ok(body),
        Ok((header, _)) => Err(format!("answer {} came instead of {}", header.correlation_id, asked.correlation_id)),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(body) => {
            let _ = asked.answer.send(Ok(body)); // whoever has gone does not need it
            Ok(())
        }
        Err(cause) => {
            // It must be told with the others why the connection ended.
            waiting.lock().unwrap_or_else(PoisonError::into_inner).push_front(asked);
            Err(cause)
        }
    }
}

/// Writes requests until that fails or nobody can send any more; says why.
async fn transmit(
    mut to: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Asked>,
    waiting: &Mutex<VecDeque<Waiting>>,
) -> String {
    while let Some(Asked { frame, waiting: asked }) = queue.recv().await {
        waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(asked);
        for segment in frame.segments() {
            if let Err(error) = to.write_all(segment.bytes()).await {
                return error.to_string();
            }
        }
        if queue.is_empty()
            && let Err(error) = to.flush().await
        {
            return error.to_string();
        }
    }
    "it is not used any more".to_owned()
}
