//! Planted bugs, to prove that the simulator would find them: a net that has never caught a fish may have a hole.
//!
//! Only a build with the feature `mutants` has them, and only one lives at a time, chosen by the simulator when a run
//! begins. In every other build [`Mutant::lives`] is the constant `false`, and nothing is left of any of this.
//!
//! Absent on purpose: assertions beside a mutant that would notice it; what it breaks has to show outside.

/// A bug, and what it breaks. The names are what the simulator is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// A producer is answered before any follower has its records.
    AckBeforeReplication,
    /// An acknowledgement on a follower's older stream counts (R6).
    AckOfOldStream,
    /// A follower joins the ISR without what the leader's epoch started with (R8).
    JoinBelowEpochStart,
    /// A follower of a new leader cuts its log at its high watermark, which lags (KIP-101).
    TruncateToHighWatermark,
    /// Records are committed while the ISR is smaller than `min.insync.replicas` (R7).
    MinIsrSkipped,
    /// A broker that has lost what it had not synced stays in the ISR (KIP-966).
    MachineCrashUnnoticed,
    /// A flush says that it is done without having synced.
    FlushWithoutSync,
    /// Consumers read past the high watermark.
    ReadUncommitted,
    /// A follower remembers no producers: as a leader it takes repeated batches for new ones.
    ProducersForgotten,
    /// A controller forgets in a machine's crash for whom it voted.
    VoteNotSynced,
    /// With `durability=fsync`, what is only written counts as committed.
    UnflushedCounted,
    /// The controller takes a replica into the ISR as a run that is over (KIP-903).
    StaleBrokerEpoch,
    /// After a machine's crash, half a batch is kept: its checksum is not looked at.
    TornBatchAccepted,
    /// A snapshot is put away in two steps, and counts as whole after the first.
    HalfSnapshotKept,
    /// Facts that were decided in a lost reign are proposed again in the next one.
    StaleProposal,
    /// A controller whose disk was wiped goes on as the voter that it was.
    WipedVoterVotes,
    /// What compaction replaces goes before it is durable by what.
    SwapWithoutSync,
}

impl Mutant {
    pub const ALL: [Self; 17] = [
        Self::AckBeforeReplication,
        Self::AckOfOldStream,
        Self::JoinBelowEpochStart,
        Self::TruncateToHighWatermark,
        Self::MinIsrSkipped,
        Self::MachineCrashUnnoticed,
        Self::FlushWithoutSync,
        Self::ReadUncommitted,
        Self::ProducersForgotten,
        Self::VoteNotSynced,
        Self::UnflushedCounted,
        Self::StaleBrokerEpoch,
        Self::TornBatchAccepted,
        Self::HalfSnapshotKept,
        Self::StaleProposal,
        Self::WipedVoterVotes,
        Self::SwapWithoutSync,
    ];

    /// Whether this bug is the one that was planted.
    #[cfg(feature = "mutants")]
    pub fn lives(self) -> bool {
        PLANTED.get() == Some(&self)
    }

    /// Whether this bug is the one that was planted.
    #[cfg(not(feature = "mutants"))]
    pub const fn lives(self) -> bool {
        false
    }

    /// Plants the bug in this process, for as long as it lives.
    ///
    /// # Panics
    /// When there is one already.
    #[cfg(feature = "mutants")]
    pub fn plant(self) {
        assert!(PLANTED.set(self).is_ok(), "one bug at a time, or nobody could say which was found");
    }
}

#[cfg(feature = "mutants")]
static PLANTED: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();
