//! Guests who come, wait and leave, while the number of places changes.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::time::advance;

use super::*;
use crate::base::ids::NodeId;
use crate::config::{Given, load};
use crate::metadata::Image;
use crate::server::kafka::values::Values;

/// The limits of a node that was started with these settings.
fn limits(given: &[&str]) -> Limits {
    let given: Vec<_> = given.iter().map(|setting| Given::set(setting).expect("key=value")).collect();
    let (settings, problems) = load(None, [], &given);
    assert!(problems.is_empty(), "{problems:?}");
    let values = Values { image: &Image::default(), settings: &settings, node: NodeId(1) };
    Limits::of(&values, &["INSIDE".to_owned(), "OUTSIDE".to_owned()])
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What comes of a connection at once.
fn arrives(at: &Entrance, from: &str) -> Poll<Result<Place, TooMany>> {
    poll(pin!(at.place(from.parse().expect("an address"))))
}

/// A connection for which there is room.
fn enters(at: &Entrance, from: &str) -> Place {
    match arrives(at, from) {
        Poll::Ready(Ok(place)) => place,
        Poll::Ready(Err(TooMany)) => panic!("{from} has too many"),
        Poll::Pending => panic!("{from} has to wait"),
    }
}

#[test]
fn an_address_has_so_many_places_and_no_more() {
    let of_some = "max.connections.per.ip.overrides=10.0.0.9:3, host.example:1, [::1]:1, 10.0.0.8:0";
    let door = Places::new(limits(&["max.connections.per.ip=2", of_some])).at("INSIDE");
    let is_refused = |from| matches!(arrives(&door, from), Poll::Ready(Err(TooMany)));
    let _two = ["10.0.0.1", "::ffff:10.0.0.1"].map(|from| enters(&door, from));
    assert!(is_refused("10.0.0.1") && is_refused("10.0.0.8"));
    let one = enters(&door, "::1");
    assert!(is_refused("::1"));
    drop(one);
    let _again = enters(&door, "::1");
    let _three = [(); 3].map(|()| enters(&door, "10.0.0.9"));
    assert!(is_refused("10.0.0.9"));
    door.places.limit(limits(&["max.connections.per.ip=3"]));
    let _third = enters(&door, "10.0.0.1");
    assert!(is_refused("10.0.0.1") && is_refused("10.0.0.9"), "another limit is one for all");
}

#[test]
fn who_finds_no_place_waits_until_somebody_leaves() {
    let places = Places::new(limits(&["max.connections=3", "listener.name.outside.max.connections=1"]));
    let (inside, outside) = (places.at("INSIDE"), places.at("OUTSIDE"));
    let stranger = enters(&outside, "10.0.0.1");
    assert!(arrives(&outside, "10.0.0.2").is_pending(), "one outside is as many as its listener takes");
    let (friend, _another) = (enters(&inside, "10.0.0.3"), enters(&inside, "10.0.0.4"));
    let mut next = pin!(inside.place("10.0.0.5".parse().unwrap()));
    assert!(poll(next.as_mut()).is_pending(), "three are as many as the broker takes");
    drop(friend);
    assert!(matches!(poll(next.as_mut()), Poll::Ready(Ok(_))));
    drop(stranger);
    enters(&outside, "10.0.0.2");
}

#[test]
fn more_places_are_given_to_those_who_wait() {
    let places = Places::new(limits(&["max.connections=1"]));
    let inside = places.at("INSIDE");
    let _first = enters(&inside, "10.0.0.1");
    let mut next = pin!(inside.place("10.0.0.2".parse().unwrap()));
    assert!(poll(next.as_mut()).is_pending());
    places.limit(limits(&["max.connections=2"]));
    let Poll::Ready(Ok(_second)) = poll(next.as_mut()) else { panic!("there is room for two") };
    assert!(arrives(&inside, "10.0.0.3").is_pending());
}

#[tokio::test(start_paused = true)]
async fn fewer_places_are_left_to_those_who_used_theirs_last() {
    let places = Places::new(limits(&[]));
    let (inside, outside) = (places.at("INSIDE"), places.at("OUTSIDE"));
    let mut guests = Vec::new();
    for entrance in [&inside, &outside, &inside, &outside] {
        guests.push(enters(entrance, "10.0.0.1"));
        advance(Duration::from_secs(1)).await;
    }
    guests[0].used().note();
    let left = || guests.iter().map(|guest| poll(pin!(guest.lost())).is_ready()).collect::<Vec<_>>();
    places.limit(limits(&["listener.name.inside.max.connections=1", "max.connections.per.ip=1"]));
    assert_eq!(left(), [false; 4], "these are for those who come");
    places.limit(limits(&["max.connections=2"]));
    assert_eq!(left(), [false, true, true, false]);
    places.limit(limits(&["max.connections=1"]));
    assert_eq!(left(), [false, false, false, true], "who was told to leave is not told again");
}
