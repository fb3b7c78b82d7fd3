//! Chaos: what is done to which node when, decided by a seed. Pure.
//!
//! Mostly one node is away at a time, sometimes two, rarely all three: then nothing can be acknowledged, and still
//! nothing that was may be lost.
//!
//! Invariants: the same seed makes the same schedule; in the end every node is back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use super::report::Blow;
use crate::base::ids::NodeId;

/// What is done to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Strike(Blow),
    /// Starts it again, or lets it go on.
    Return(Blow),
}

/// One act of a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) node: NodeId,
    pub(super) act: Act,
}

/// The cluster is left alone at first, so that there is something to lose.
const QUIET_MS: u64 = 1_000;

/// Between two acts.
const PAUSE_MS: std::ops::Range<u64> = 100..1_500;

/// The acts of a run, in their order; those at the end bring everybody back.
pub(super) fn schedule(seed: u64, length: Duration, nodes: &[NodeId]) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut away: BTreeMap<NodeId, Blow> = BTreeMap::new();
    let mut steps = Vec::new();
    let mut at = Duration::from_millis(QUIET_MS);
    while at < length {
        let node = nodes[dice.below(nodes.len() as u64) as usize];
        let act = match away.remove(&node) {
            Some(blow) => Some(Act::Return(blow)),
            None => may_strike(away.len(), &mut dice).then(|| {
                let blow = blow(&mut dice);
                away.insert(node, blow);
                Act::Strike(blow)
            }),
        };
        steps.extend(act.map(|act| Step { at, node, act }));
        at += Duration::from_millis(PAUSE_MS.start + dice.below(PAUSE_MS.end - PAUSE_MS.start));
    }
    steps.extend(away.into_iter().map(|(node, blow)| Step { at: length, node, act: Act::Return(blow) }));
    steps
}

/// Whether one more node may be struck.
fn may_strike(away: usize, dice: &mut Dice) -> bool {
    match away {
        0 => true,
        1 => dice.below(4) == 0,
        _ => dice.below(10) == 0,
    }
}

fn blow(dice: &mut Dice) -> Blow {
    match dice.below(5) {
        0 | 1 => Blow::Killed,
        2 | 3 => Blow::Paused,
        _ => Blow::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
    const LENGTH: Duration = Duration::from_secs(120);

    #[test]
    fn a_seed_decides_everything() {
        assert_eq!(schedule(7, LENGTH, &NODES), schedule(7, LENGTH, &NODES));
        assert_ne!(schedule(7, LENGTH, &NODES), schedule(8, LENGTH, &NODES));
    }

    #[test]
    fn who_is_struck_was_there_and_who_returns_was_away_and_in_the_end_all_are_back() {
        for seed in 0..50 {
            let mut away = BTreeMap::new();
            for Step { node, act, .. } in schedule(seed, LENGTH, &NODES) {
                match act {
                    Act::Strike(blow) => assert_eq!(away.insert(node, blow), None, "seed {seed}"),
                    Act::Return(blow) => assert_eq!(away.remove(&node), Some(blow), "seed {seed}"),
                }
            }
            assert!(away.is_empty(), "seed {seed}: {away:?} are still away");
        }
    }

    #[test]
    fn a_long_run_has_every_blow_and_two_nodes_away_at_once() {
        for seed in 0..20 {
            let (mut blows, mut away, mut most) = (Vec::new(), 0, 0);
            for Step { act, .. } in schedule(seed, LENGTH, &NODES) {
                match act {
                    Act::Strike(blow) => {
                        blows.push(blow);
                        away += 1;
                    }
                    Act::Return(_) => away -= 1,
                }
                most = most.max(away);
            }
            for blow in [Blow::Killed, Blow::Stopped, Blow::Paused] {
                assert!(blows.contains(&blow), "seed {seed} has no {blow}");
            }
            assert!(most >= 2, "seed {seed}");
        }
    }
}
