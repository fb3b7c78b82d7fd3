//! Replication lanes between brokers in one process: what is produced on a leader reaches its followers, whatever
//! happens to either. `folders.rs` is about where their partitions lie, `together.rs` about appends that come together.

mod cluster;
mod folders;
mod together;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dohle::base::ids::{LeaderEpoch, NodeId, Offset};
use dohle::base::time::Millis;
use dohle::broker::{FetchFrom, FlushAfter, Isolation, News, PartitionError, Watch};
use dohle::log::{CompactionRules, Retention};
use dohle::replica::Durability;
use dohle::replica::leader::Acks;
use dohle::rpc::replication as proto;

use cluster::{Cluster, outcome, until};

#[test]
fn followers_copy_their_leader_and_a_producer_waits_for_them() {
    let cluster = Cluster::of(3);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    for records in 1..=50 {
        cluster.broker(1).produce_committed(0, records, 100);
    }
    cluster.converge(0, 1);
}

#[test]
fn a_follower_that_was_dead_comes_back_as_another_and_catches_up() {
    let mut cluster = Cluster::of(2);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 10, 100);
    cluster.kill(NodeId(2));
    for _ in 0..100 {
        cluster.broker(1).produce(0, 10, 1000, Acks::Leader);
    }
    cluster.start(NodeId(2));
    cluster.open(NodeId(2), 0);
    cluster.tell(NodeId(2), 0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 10);
    cluster.converge(0, 1);
}

#[test]
fn what_processes_left_in_the_page_cache_counts_again_when_they_are_back() {
    let mut cluster = Cluster::of(2);
    cluster.settings.policy.durability = Durability::Fsync;
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 10, 100);
    for id in [1, 2].map(NodeId) {
        cluster.kill(id);
        cluster.start(id);
        cluster.open(id, 0); // as after a crash: how much is on the disk is not known
    }
    cluster.elect(0, 1, 1);
    cluster.converge(0, 1); // though nothing new is written
}

#[test]
fn a_leader_that_was_deposed_gives_up_what_only_it_has() {
    let cluster = Cluster::of(3);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 10, 100);
    // Nobody follows broker 1 any more when it takes ten more batches.
    cluster.tell(NodeId(2), 0, 3, 1);
    cluster.tell(NodeId(3), 0, 2, 1);
    for _ in 0..10 {
        cluster.broker(1).produce(0, 5, 100, Acks::Leader);
    }
    let given_up = cluster.broker(1).end(0);
    cluster.elect(0, 2, 2);
    cluster.broker(2).produce_committed(0, 1, 50);
    cluster.converge(0, 2);
    assert!(cluster.broker(2).end(0) < given_up, "broker 2 was elected without the ten batches");
    assert_eq!(cluster.broker(1).parts().truncated.load(Ordering::Relaxed), 1, "broker 1 cut its log once");
}

#[test]
fn many_times_the_credit_passes_and_holds_up_no_other_partition() {
    let cluster = Cluster::of(2);
    for index in 0..3 {
        cluster.create(index);
        cluster.elect(index, 1, 0);
    }
    for _ in 0..64 {
        cluster.broker(1).produce(0, 1, 1 << 20, Acks::Leader);
        cluster.broker(1).produce(1, 1, 10, Acks::Leader);
    }
    cluster.broker(1).produce_committed(1, 1, 10);
    // One batch is larger than all the credit there is.
    cluster.broker(1).produce_committed(2, 1, 20 << 20);
    (0..3).for_each(|index| cluster.converge(index, 1));
}

#[test]
fn followers_are_told_that_their_leader_died_and_find_it_where_it_comes_back() {
    let mut cluster = Cluster::of(3);
    for index in 0..20 {
        cluster.create(index);
        cluster.elect(index, 1, 0);
        cluster.broker(1).produce_committed(index, 1, 100);
    }
    cluster.kill(NodeId(1));
    for follower in [2, 3] {
        let parts = cluster.broker(follower).parts();
        until("every stream from the dead leader is reported", || parts.reopened.load(Ordering::Relaxed) >= 20);
    }
    cluster.start(NodeId(1)); // at another port, and registered anew
    for index in 0..20 {
        cluster.open(NodeId(1), index);
        cluster.tell(NodeId(1), index, 1, 0);
        cluster.broker(1).produce_committed(index, 1, 100);
        cluster.converge(index, 1);
    }
}

#[test]
fn a_deposed_leaders_waiting_producers_hear_of_it_and_leadership_may_go_round() {
    let cluster = Cluster::of(3);
    cluster.create(0);
    for epoch in 0..12 {
        let leader = epoch % 3 + 1;
        cluster.elect(0, leader, epoch);
        cluster.broker(leader).produce_committed(0, 3, 200);
        for _ in 0..5 {
            cluster.broker(leader).produce(0, 2, 100, Acks::Leader);
        }
        // All must have it, or whoever is elected next gives up what may be committed.
        cluster.converge(0, leader);
    }
}

#[test]
fn what_is_parked_with_the_next_leader_is_appended_in_order_once_it_leads() {
    let mut cluster = Cluster::of(3);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    cluster.converge(0, 1);
    assert!(!cluster.broker(2).partition(0).awaits_leader(), "its leader is there");
    cluster.kill(NodeId(1));
    until("broker 2 misses its leader", || cluster.broker(2).partition(0).awaits_leader());

    let [first, gone, last] = [0; 3].map(|_| cluster.broker(2).park(0, 100).unwrap());
    drop(gone); // its client waits no longer
    assert_eq!(cluster.broker(2).end(0), Offset(1), "nothing is appended before there is a leader");
    cluster.elect(0, 2, 1);
    assert_eq!((outcome(first), outcome(last)), (Ok(Offset(1)), Ok(Offset(2))));
    assert_eq!(outcome(cluster.broker(2).park(0, 100).unwrap()), Ok(Offset(3)), "who leads already appends at once");
    until("broker 3 copies all of it", || cluster.broker(3).end(0) == Offset(4));
}

#[test]
fn who_reads_while_a_leader_is_missing_hears_of_the_next_one() {
    let mut cluster = Cluster::of(3);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    cluster.kill(NodeId(1));
    until("broker 2 misses its leader", || cluster.broker(2).partition(0).awaits_leader());
    let news = Arc::new(News::default());
    let from = FetchFrom {
        offset: Offset(1),
        max_bytes: 1,
        min_one: true,
        leader_epoch: None,
        last_fetched_epoch: None,
        isolation: Isolation::ReadUncommitted,
    };
    let told = cluster.broker(2).partition(0).fetch(&from, Some(&Watch::new(7, &news))).map(drop);
    assert!(matches!(told, Err(PartitionError::NotLeader { .. })), "{told:?}");
    assert!(news.take().is_empty(), "there is no news yet");
    cluster.elect(0, 3, 1);
    assert_eq!(news.take(), [7]);
}

#[test]
fn what_is_parked_is_refused_with_the_name_of_whoever_else_leads() {
    let mut cluster = Cluster::of(3);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.kill(NodeId(1));
    let parked = cluster.broker(3).park(0, 100).unwrap();
    let too_much = cluster.broker(3).park(0, 5 * 1024 * 1024).map(drop);
    assert!(matches!(too_much, Err(PartitionError::NotLeader { .. })), "{too_much:?}");
    cluster.elect(0, 2, 1);
    let hint = Some((NodeId(2), LeaderEpoch(1)));
    assert_eq!(outcome(parked), Err(PartitionError::NotLeader { hint }));
    assert_eq!(cluster.broker(3).park(0, 100).unwrap().give_up().map(|_| ()), Err(PartitionError::NotLeader { hint }));
}

#[test]
fn a_leader_that_stops_appends_nothing_more_but_passes_it_on() {
    let cluster = Cluster::of(2);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    let leader = cluster.broker(1);
    leader.parts().around.hand_over.begin();
    assert!(leader.partition(0).is_passed_on());
    let held = leader.park(0, 100).unwrap();
    assert_eq!(leader.end(0), Offset(1), "it is held");
    cluster.elect(0, 2, 1);
    until("it is passed on", || leader.parts().passed_on.load(Ordering::Relaxed) == 1);
    assert!(leader.partition(0).is_passed_on(), "so is what comes late");
    let hint = Some((NodeId(2), LeaderEpoch(1)));
    assert_eq!(held.give_up().map(|_| ()), Err(PartitionError::NotLeader { hint }));
}

#[test]
fn what_a_leader_that_stops_had_appended_is_answered_once_the_next_one_commits_it() {
    let mut cluster = Cluster::of(3);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    cluster.converge(0, 1);
    cluster.kill(NodeId(3));
    let appended = cluster.broker(1).produce(0, 1, 100, Acks::All).committed.expect("broker 3 is in sync and lacks it");
    until("broker 2 has it", || cluster.broker(2).end(0) == Offset(2));
    cluster.broker(1).parts().around.hand_over.begin();
    cluster.elect(0, 2, 1);
    cluster.start(NodeId(3));
    cluster.open(NodeId(3), 0);
    cluster.elect(0, 2, 1);
    cluster.broker(1).wait_for(appended);
}

#[test]
fn what_a_leader_that_stops_had_appended_is_refused_if_the_next_one_lacks_it() {
    let cluster = Cluster::of(2);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    cluster.converge(0, 1);
    cluster.tell(NodeId(2), 0, 2, 1);
    let leader = cluster.broker(1);
    let appended = leader.produce(0, 1, 100, Acks::All).committed.expect("broker 2 follows no more");
    leader.parts().around.hand_over.begin();
    cluster.elect(0, 2, 1);
    let hint = Some((NodeId(2), LeaderEpoch(1)));
    assert_eq!(leader.told(appended), Err(PartitionError::NotLeader { hint }));
    assert_eq!(leader.end(0), Offset(1), "the log was cut");
}

#[test]
fn a_leader_that_nobody_replaces_appends_what_it_held() {
    let cluster = Cluster::of(2);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    let hand_over = &cluster.broker(1).parts().around.hand_over;
    hand_over.begin();
    let held = cluster.broker(1).park(0, 100).unwrap();
    hand_over.end(Millis(0));
    cluster.broker(1).partition(0).release();
    assert_eq!(outcome(held), Ok(Offset(0)));
}

#[test]
fn what_is_passed_on_is_appended_by_the_next_leader_once_it_leads() {
    let cluster = Cluster::of(2);
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    cluster.converge(0, 1);
    let request = cluster.pass_on(0, 100);
    let taken_over = cluster.broker(2).take_over(request.clone());
    cluster.elect(0, 2, 1);
    let reply = taken_over.join().unwrap().unwrap();
    let outcomes: Vec<_> = reply.outcomes.iter().map(|outcome| (outcome.error_code, outcome.base_offset)).collect();
    assert_eq!(outcomes, [(0, 1), (0, 2)], "{reply:?}");
    cluster.converge(0, 2);

    let unknown = cluster.broker(2).take_over(proto::PassOnRequest { partition: 7, ..request.clone() });
    assert_eq!(unknown.join().unwrap().unwrap().outcomes[0].error_code, 6, "NOT_LEADER_OR_FOLLOWER");
    let mut torn = request.clone();
    torn.appends[1].records.truncate(80);
    assert!(cluster.broker(2).take_over(torn).join().unwrap().is_err());
    let stray = proto::PassOnRequest { cluster_id: vec![1; 16].into(), ..request };
    assert!(cluster.broker(2).take_over(stray).join().unwrap().is_err());
}

#[test]
fn records_that_a_leader_deletes_go_everywhere() {
    let mut cluster = Cluster::of(3);
    cluster.settings.log.segment_bytes = 5_000;
    cluster.settings.keep.delete = Some(Retention::default());
    cluster.create(0);
    cluster.elect(0, 1, 0);
    for _ in 0..20 {
        cluster.broker(1).produce_committed(0, 10, 100);
    }
    cluster.converge(0, 1);
    let leader = cluster.broker(1).partition(0);
    assert_eq!(leader.delete_before(Some(Offset(201))).err(), Some(PartitionError::OffsetOutOfRange));
    assert!(matches!(cluster.broker(2).partition(0).delete_before(None), Err(PartitionError::NotLeader { .. })));

    let deleted = leader.delete_before(Some(Offset(155))).expect("committed");
    assert_eq!(deleted.log_start, Offset(155));
    cluster.broker(1).wait_for(deleted.everywhere.expect("the followers are to be waited for"));
    assert_eq!(leader.low_watermark(), Ok(Offset(155)));
    assert!(leader.delete_before(Some(Offset(3))).expect("it is deleted already").everywhere.is_none());

    let before = leader.size();
    for broker in cluster.brokers.values() {
        let partition = broker.partition(0);
        assert_eq!(partition.log_ends().log_start, Offset(155));
        assert!(partition.expire().expect("sound"), "whole segments lie below the new start");
        partition.retire().expect("sound").0.run().expect("they are there");
        assert!(partition.size() < before / 2, "{} of {before} bytes are left", partition.size());
    }
    cluster.broker(1).produce_committed(0, 1, 100);
}

#[test]
fn with_fsync_nothing_is_committed_before_every_disk_has_it() {
    let mut cluster = Cluster::of(3);
    cluster.settings.policy.durability = Durability::Fsync;
    cluster.create(0);
    cluster.elect(0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 100);
    for slow in [2, 1] {
        cluster.broker(slow).parts().disk_hangs.store(true, Ordering::Relaxed);
        let before = cluster.broker(1).partition(0).checkpoint()[0];
        let mut waiting: Vec<_> =
            (0..10).filter_map(|_| cluster.broker(1).produce(0, 1, 100, Acks::All).committed).collect();
        assert_eq!(waiting.len(), 10);
        let end = cluster.broker(1).end(0);
        until("all have it in memory, and all but one on the disk", || {
            let ends = cluster.brokers.values().map(|broker| (broker.id.0, broker.partition(0).log_ends()));
            ends.into_iter().all(|(id, ends)| ends.end == end && (id == slow || ends.flushed_end == end))
        });
        assert_eq!(cluster.broker(1).partition(0).checkpoint()[0], before, "broker {slow} could lose it");
        assert!(waiting.iter_mut().all(|committed| committed.try_recv().is_err()));
        let flushes = cluster.broker(slow).parts().resume_disk();
        assert_eq!(flushes, 1, "ten batches were waiting for one flush");
        waiting.into_iter().for_each(|committed| cluster.broker(1).wait_for(committed));
    }
}

#[test]
fn a_new_follower_copies_a_compacted_log_with_its_gaps() {
    let mut cluster = Cluster::of(2);
    cluster.settings.log.segment_bytes = 5_000;
    cluster.settings.log.tail_bytes = 0; // or what was replaced could come from memory
    cluster.settings.keep.compact =
        Some(CompactionRules { dirty_millionths_min: 0, lag_ms_min: 0, lag_ms_max: i64::MAX, delete_retention_ms: 0 });
    cluster.create(0);
    cluster.elect(0, 1, 0);
    for number in 0..200 {
        cluster.broker(1).produce_key(0, &format!("key {}", number % 7), &[0; 100]);
    }
    cluster.broker(1).produce_committed(0, 1, 10);
    let (leader, full) = (cluster.broker(1).partition(0), cluster.bytes(1, 0).len());
    until("what is closed is durable and committed", || {
        leader.dirt().unwrap().is_some_and(|dirt| dirt.until > Offset(150))
    });
    cluster.broker(1).compact(0);
    assert!(leader.size() < full as u64 / 3, "{} of {full} bytes are left", leader.size());

    cluster.kill(NodeId(2));
    cluster.wipe(NodeId(2), 0);
    cluster.start(NodeId(2));
    cluster.open(NodeId(2), 0);
    cluster.tell(NodeId(2), 0, 1, 0);
    cluster.broker(1).produce_committed(0, 1, 10);
    cluster.converge(0, 1);
    assert_eq!(cluster.broker(2).end(0), Offset(202));
}

#[test]
fn what_may_wait_to_be_durable_waits_no_longer_than_it_may() {
    for flush in [FlushAfter { ms: Some(20), records: i64::MAX }, FlushAfter { ms: None, records: 10 }] {
        let mut cluster = Cluster::of(2);
        cluster.settings.flush = flush;
        cluster.create(0);
        cluster.elect(0, 1, 0);
        cluster.broker(1).produce_committed(0, 9, 100);
        if flush.ms.is_none() {
            assert_eq!(cluster.broker(1).partition(0).log_ends().flushed_end, Offset(0), "nine are not ten");
            cluster.broker(1).produce_committed(0, 1, 100);
        }
        for broker in cluster.brokers.values() {
            let ends = || broker.partition(0).log_ends();
            until("all is on the disk", || ends().flushed_end == ends().end && ends().end > Offset(8));
        }
    }
}
