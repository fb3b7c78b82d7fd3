//! Answers that lie in a file which is in memory, is not, or is not there any more.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;
use crate::base::disk::File;
use crate::base::executor::{BoxFuture, Job};
use crate::server::kafka::connection::tests::Pipe;
use crate::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::{ApiKey, RequestHeader, Writer};

/// A file of bytes that tell their position, which may be out of memory.
struct Shelf {
    bytes: Mutex<Vec<u8>>,
    is_cold: AtomicBool,
}

impl Shelf {
    fn of(length: usize) -> Arc<Self> {
        let bytes = (0..length).map(|at| (at / 7) as u8).collect();
        Arc::new(Self { bytes: Mutex::new(bytes), is_cold: AtomicBool::new(false) })
    }
}

impl File for Shelf {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.is_cold.store(false, Ordering::Relaxed);
        self.read_at_cached(buffer, position)
    }

    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if self.is_cold.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = self.bytes.lock().unwrap();
        let rest = bytes.get(position as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(length as usize);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Does its jobs at once, and counts them.
#[derive(Default)]
struct Loader(Mutex<usize>);

impl Worker for Loader {
    fn submit(&self, job: Job) -> BoxFuture<'_, ()> {
        *self.0.lock().unwrap() += 1;
        job();
        Box::pin(std::future::ready(()))
    }
}

/// An answer with these records.
fn answer(records: Vec<Records>) -> Frame {
    let of = |records| PartitionData { records: Some(records), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: records.into_iter().map(of).collect(), ..Default::default() };
    let header = RequestHeader {
        api: ApiKey::Fetch,
        version: 12,
        correlation_id: 1,
        client_id: None,
        tagged_fields: Default::default(),
    };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    Frame::response(&mut Writer::new(), &header, &response).unwrap()
}

fn range(file: &Arc<Shelf>, position: usize, length: usize) -> FileRange {
    FileRange { file: file.clone(), position: position as u64, length }
}

/// Writes all there is, to a client who reads a little at a time.
async fn send(outgoing: &mut Outgoing, server: DuplexStream) -> io::Result<()> {
    let mut stream: Connection = Box::new(Pipe(server));
    poll_fn(|cx| match outgoing.poll_write(&mut stream, cx) {
        Ok(_) if outgoing.bytes > 0 => Poll::Pending,
        done => Poll::Ready(done.map(drop)),
    })
    .await
}

async fn sent(outgoing: &mut Outgoing) -> (io::Result<()>, Vec<u8>) {
    let (mut client, server) = duplex(1000);
    let mut came = Vec::new();
    let (result, read) = tokio::join!(send(outgoing, server), client.read_to_end(&mut came));
    read.unwrap();
    (result, came)
}

#[tokio::test]
async fn what_lies_in_files_goes_out_in_its_place_and_takes_no_memory() {
    let file = Shelf::of(700_000);
    let bytes = Bytes::from(file.bytes.lock().unwrap().clone());
    let mut outgoing = Outgoing::new(Arc::new(Loader::default()));
    let places = [(0, 300_000), (5, 40_000), (650_000, 50_000)];
    let stored = answer(places.map(|(from, length)| Records::Stored(range(&file, from, length))).into());
    outgoing.push(&stored);
    outgoing.push(&answer(vec![bytes.slice(..10_000).into()]));
    assert!(stored.memory() < 500 && outgoing.memory < 11_000, "{} bytes in memory", outgoing.memory);

    let (result, came) = sent(&mut outgoing).await;
    result.unwrap();
    let in_memory = answer(places.map(|(from, length)| bytes.slice(from..from + length).into()).into());
    let whole = |frame: &Frame| frame.segments().flat_map(|segment| segment.bytes().clone()).collect::<Vec<u8>>();
    assert_eq!(came, [whole(&in_memory), whole(&answer(vec![bytes.slice(..10_000).into()]))].concat());
    assert_eq!((outgoing.bytes, outgoing.memory), (0, 0));
}

#[tokio::test]
async fn what_is_not_in_memory_is_brought_there_by_a_worker() {
    let (file, loader) = (Shelf::of(PIECE_BYTES_MAX / 2), Arc::new(Loader::default()));
    file.is_cold.store(true, Ordering::Relaxed);
    let mut outgoing = Outgoing::new(loader.clone());
    let stored = answer(vec![Records::Stored(range(&file, 0, PIECE_BYTES_MAX / 2))]);
    outgoing.push(&stored);
    let (result, came) = sent(&mut outgoing).await;
    result.unwrap();
    assert_eq!((came.len(), *loader.0.lock().unwrap()), (stored.size(), 1));
}

#[tokio::test]
async fn a_file_that_was_cut_ends_the_connection() {
    let (file, loader) = (Shelf::of(100_000), Arc::new(Loader::default()));
    let mut outgoing = Outgoing::new(loader);
    let stored = answer(vec![Records::Stored(range(&file, 0, 100_000))]);
    outgoing.push(&stored);
    file.set_len(90_000).unwrap();
    let (result, came) = sent(&mut outgoing).await;
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(came.len() < stored.size(), "nothing is made up for what is missing");
}
