//! Kafka's messages: recorded frames, random messages, a second implementation, and bytes that are no message.
//!
//! - Every frame that real clients and Apache Kafka exchanged decodes completely and encodes to the same bytes.
//! - So does every random message that the schemas allow, in every version.
//! - The `kafka-protocol` crate, for the versions it knows, reads the same from them and writes the same.
//! - No mutation of any of them makes our decoder panic, or allocate more than a small multiple of its input.

#![allow(clippy::disallowed_methods, reason = "it reads this repository, on a real disk")]
#![allow(clippy::print_stdout, reason = "a seed is printed, so that a failure can be repeated")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use dohle::wire::header::{HeaderError, ResponseHeader};
use dohle::wire::{ApiKey, Frame, Message, Request, RequestHeader, Writer, messages};
use kafka_protocol::messages::{RequestKind, ResponseKind};

use crate::allocations::allocated_by;
use crate::wire_filler::{Filler, Random, schemas};

/// An API's decoders and encoders behind one signature.
struct Codec {
    api: ApiKey,
    request: fn(Bytes) -> Result<Bytes, String>,
    response: fn(&RequestHeader, Bytes) -> Result<Bytes, String>,
    /// A whole response frame in words.
    told: fn(&RequestHeader, Bytes) -> String,
    /// Decodes a request's and a response's body and drops it.
    try_both: fn(i16, &Bytes),
}

macro_rules! apis {
    ($(
        $(#[$_doc:meta])*
        $name:ident = $_key:literal, $_versions:expr, $_advertised:expr, $_flexible:expr, $_by:ident,
        $module:ident::$request:ident;
    )*) => {
        const CODECS: &[Codec] = &[$(Codec {
            api: ApiKey::$name,
            request: request_again::<messages::$module::$request>,
            response: response_again::<messages::$module::$request>,
            told: response_told::<messages::$module::$request>,
            try_both: try_both::<messages::$module::$request>,
        },)*];
    };
}
include!(concat!(env!("OUT_DIR"), "/kafka/apis.rs"));

/// Decodes a whole request frame and encodes it again.
fn request_again<R: Request>(frame: Bytes) -> Result<Bytes, String> {
    let (header, body) = RequestHeader::decode(frame).map_err(|error| error.to_string())?;
    let (request, rest) = R::decode_with_rest(header.version, body).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes left of {request:?}", rest.len()));
    }
    Ok(Frame::request(&mut Writer::new(), &header, &request).map_err(|error| error.to_string())?.body())
}

/// Decodes a whole response frame and encodes it again.
fn response_again<R: Request>(to: &RequestHeader, frame: Bytes) -> Result<Bytes, String> {
    let (header, body) = ResponseHeader::decode(to.api, to.version, frame).map_err(|error| error.to_string())?;
    let (response, rest) = R::Response::decode_with_rest(to.version, body).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes left of {response:?}", rest.len()));
    }
    let to = RequestHeader { correlation_id: header.correlation_id, ..to.clone() };
    Ok(Frame::response(&mut Writer::new(), &to, &response).map_err(|error| error.to_string())?.body())
}

fn response_told<R: Request>(to: &RequestHeader, frame: Bytes) -> String {
    let (_, body) = ResponseHeader::decode(to.api, to.version, frame).unwrap();
    format!("{:?}", R::Response::decode(to.version, body).unwrap())
}

/// The response in a frame, in words.
pub fn told(to: &RequestHeader, frame: Bytes) -> String {
    (codec(to.api).told)(to, frame)
}

fn try_both<R: Request>(version: i16, body: &Bytes) {
    let _ = R::decode(version, body.clone());
    let _ = R::Response::decode(version, body.clone());
}

fn codec(api: ApiKey) -> &'static Codec {
    CODECS.iter().find(|codec| codec.api == api).unwrap()
}

fn header(api: ApiKey, version: i16) -> RequestHeader {
    let client_id = Some("test".into());
    RequestHeader { api, version, correlation_id: 7, client_id, tagged_fields: Default::default() }
}

/// A recorded frame, and what its file's name says about it.
struct Recorded {
    name: String,
    api: ApiKey,
    version: i16,
    is_request: bool,
    bytes: Bytes,
}

fn recorded() -> Vec<Recorded> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/frames");
    let mut frames = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((stem, direction)) = name.split_once('.').filter(|(_, direction)| *direction != "md") else {
            continue;
        };
        let [key, version, _] = stem.split('-').collect::<Vec<_>>()[..] else { panic!("{name} is no frame's name") };
        let api = ApiKey::from_number(key.parse().unwrap()).unwrap_or_else(|| panic!("{name}: no schema"));
        let version = version.strip_prefix('v').unwrap().parse().unwrap();
        let (bytes, is_request) = (std::fs::read(&path).unwrap().into(), direction == "request");
        frames.push(Recorded { name, api, version, is_request, bytes });
    }
    frames.sort_by(|one, other| one.name.cmp(&other.name));
    frames
}

/// The frames in which clients asked.
pub fn recorded_requests() -> Vec<Bytes> {
    recorded().into_iter().filter(|frame| frame.is_request).map(|frame| frame.bytes).collect()
}

/// A frame by the name of its recording, as a `request` or a `response`.
pub fn recorded_frame(name: &str, direction: &str) -> Bytes {
    let path = format!("{}/tests/frames/{name}.{direction}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")).into()
}

#[test]
fn recorded_frames_decode_completely_and_encode_to_the_same_bytes() {
    let mut differ = BTreeSet::new();
    let mut same = 0;
    for Recorded { name, api, version, is_request, bytes } in recorded() {
        if api == ApiKey::ApiVersions && version > api.entry().versions.last {
            continue; // see the test about ApiVersions
        }
        let codec = codec(api);
        let again = if is_request {
            (codec.request)(bytes.clone())
        } else {
            (codec.response)(&header(api, version), bytes.clone())
        };
        match again {
            Ok(again) if again == bytes => same += 1,
            Ok(again) => drop(differ.insert(format!("{name}: {bytes:?}\n  became {again:?}"))),
            Err(error) => drop(differ.insert(format!("{name}: {error}"))),
        }
    }
    assert!(differ.is_empty(), "{} frames differ:\n{}", differ.len(), Vec::from_iter(differ).join("\n"));
    assert!(same > 600, "only {same} frames were looked at");
}

/// KIP-511: whoever asks in a version we do not know is answered in version 0, whose header has no tagged fields.
#[test]
fn api_versions_in_a_version_we_do_not_know_is_answered_in_version_0() {
    let [request, response] = ["request", "response"].map(|direction| recorded_frame("18-v5-1", direction));
    let error = RequestHeader::decode(request).unwrap_err();
    let HeaderError::UnsupportedVersion { api, version, correlation_id } = error else { panic!("{error}") };
    assert_eq!((api, version), (ApiKey::ApiVersions, 5));

    let again = (codec(api).response)(&RequestHeader { correlation_id, ..header(api, 0) }, response.clone());
    assert_eq!(again, Ok(response));
}

/// Random bodies of every API, version and direction.
fn each_random_body(seed: u64, rounds: usize, mut check: impl FnMut(ApiKey, i16, bool, Bytes)) {
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for schema in schemas() {
        let api = ApiKey::from_number(schema.key).unwrap();
        for version in schema.versions.each() {
            for _ in 0..rounds {
                for (is_request, fields) in [(true, &schema.request), (false, &schema.response)] {
                    let body = Filler::new(schema, version, &mut random).message(fields);
                    check(api, version, is_request, body.into());
                }
            }
        }
    }
}

/// A body with its header in front.
fn framed(api: ApiKey, version: i16, is_request: bool, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    if is_request {
        frame.extend_from_slice(&api.number().to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
    }
    frame.extend_from_slice(&7_i32.to_be_bytes());
    if is_request {
        frame.extend_from_slice(b"\x00\x04test");
    }
    if api.is_flexible(version) && (is_request || api != ApiKey::ApiVersions) {
        frame.extend_from_slice(&[0]);
    }
    frame.extend_from_slice(body);
    frame.freeze()
}

#[test]
fn random_messages_of_every_version_encode_to_the_same_bytes() {
    each_random_body(20_260_901, 40, |api, version, is_request, body| {
        let frame = framed(api, version, is_request, &body);
        let codec = codec(api);
        let again = match is_request {
            true => (codec.request)(frame.clone()),
            false => (codec.response)(&header(api, version), frame.clone()),
        };
        assert_eq!(again, Ok(frame), "{api} v{version}, request: {is_request}");
    });
}

/// The second implementation is of Kafka 4.1.
fn oracle_knows(api: ApiKey, version: i16) -> bool {
    // It says that it knows version 10 of these requests, and refuses to read it.
    if matches!(api, ApiKey::OffsetCommit | ApiKey::OffsetFetch) && version == 10 {
        return false;
    }
    let Ok(theirs) = kafka_protocol::messages::ApiKey::try_from(api.number()) else { return false };
    let versions = theirs.valid_versions();
    (versions.min..=versions.max).contains(&version)
}

#[test]
fn a_second_implementation_reads_and_writes_the_same() {
    let mut compared = BTreeSet::new();
    let mut disagree = BTreeSet::new();
    let mut compare = |api, version, is_request, body: Bytes| {
        if !oracle_knows(api, version) {
            return;
        }
        match by_the_oracle(api, version, is_request, &body) {
            Ok(theirs) if theirs == body => drop(compared.insert((api, version, is_request))),
            Ok(_) => drop(disagree.insert(format!("{api} v{version} request: {is_request}: other bytes"))),
            Err(error) => drop(disagree.insert(format!("{api} v{version} request: {is_request}: {error}"))),
        }
    };
    for frame in recorded() {
        let is_request = frame.is_request;
        if let Some((api, version, body)) = body(frame) {
            compare(api, version, is_request, body);
        }
    }
    each_random_body(20_260_902, 10, compare);
    assert!(disagree.is_empty(), "{}", Vec::from_iter(disagree).join("\n"));
    assert!(compared.len() > 400, "only {} messages compared", compared.len());
}

fn by_the_oracle(api: ApiKey, version: i16, is_request: bool, body: &Bytes) -> Result<Bytes, String> {
    let theirs = kafka_protocol::messages::ApiKey::try_from(api.number()).unwrap();
    let mut rest = body.clone();
    let mut again = BytesMut::new();
    if is_request {
        let read = RequestKind::decode(theirs, &mut rest, version).map_err(|error| error.to_string())?;
        read.encode(&mut again, version).map_err(|error| error.to_string())?;
    } else {
        let read = ResponseKind::decode(theirs, &mut rest, version).map_err(|error| error.to_string())?;
        read.encode(&mut again, version).map_err(|error| error.to_string())?;
    }
    if rest.is_empty() { Ok(again.freeze()) } else { Err(format!("{} bytes left", rest.len())) }
}

/// How many bytes of memory a byte of input may cost: an empty string is one byte on the wire, and 32 as a `Text`.
const MEMORY_PER_BYTE: usize = 64;

/// `DOHLE_FUZZ_SECONDS=600 cargo test --test it no_bytes_make_the_decoder` searches on; `DOHLE_SEED` begins elsewhere.
#[test]
fn no_bytes_make_the_decoder_panic_or_allocate_without_measure() {
    let asked = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().unwrap());
    let seed = asked("DOHLE_SEED").unwrap_or(20_260_903);
    let end = asked("DOHLE_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut bodies: Vec<(ApiKey, i16, Bytes)> = recorded().into_iter().filter_map(body).collect();
    each_random_body(seed, 2, |api, version, _, body| bodies.push((api, version, body)));

    loop {
        for (api, version, body) in &bodies {
            (0..50).for_each(|_| spoil_and_decode(*api, *version, body, &mut random));
        }
        if end.is_none_or(|end| Instant::now() >= end) {
            return;
        }
    }
}

fn spoil_and_decode(api: ApiKey, version: i16, body: &Bytes, random: &mut Random) {
    let mutated = mutate(body, random);
    let try_both = || (codec(api).try_both)(version, &mutated);
    let (result, allocated) = allocated_by(|| catch_unwind(AssertUnwindSafe(try_both)));
    assert!(result.is_ok(), "{api} v{version} panics at {mutated:?}");
    let bound = 1024 + MEMORY_PER_BYTE * mutated.len();
    assert!(allocated <= bound, "{api} v{version} allocates {allocated} bytes for {mutated:?}");
}

/// The body behind a recorded frame's header, if it has a version we know.
fn body(frame: Recorded) -> Option<(ApiKey, i16, Bytes)> {
    let Recorded { api, version, is_request, bytes, .. } = frame;
    let body = match is_request {
        true => RequestHeader::decode(bytes).ok()?.1,
        false => ResponseHeader::decode(api, version, bytes).ok()?.1,
    };
    Some((api, version, body))
}

/// Spoils bytes in one to three places.
pub fn mutate(body: &Bytes, random: &mut Random) -> Bytes {
    let mut bytes = body.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1));
        match random.below(4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]),
            _ => bytes.insert(at.min(bytes.len()), random.next() as u8),
        }
    }
    bytes.into()
}
