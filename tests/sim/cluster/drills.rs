//! Faults in an order that chance would seldom find, each made for one rule. When they strike is left to the dice.

use dohle::base::ids::NodeId;

use super::faults::{Act, Acts};
use super::node::NAMES;
use super::watch::{Watch, place_of};
use crate::world::dice::Dice;

/// KIP-903: a leader's wish to take a follower into the ISR is held up on its way to the controller. Meanwhile the
/// follower's machine crashes; it comes back as another run, with less than it had.
pub fn late_proposal(dice: &Dice, watch: &Watch) -> Acts {
    let Some(active) = active(watch) else { return Acts::new() };
    let leaders = watch.partitions().filter_map(|(_, partition)| partition.state.leader.map(place_of));
    let Some(leader) = leaders.into_iter().find(|leader| *leader != active) else { return Acts::new() };
    let follower = third(leader, active);
    let (to_controller, to_leader) = ((NAMES[leader], NAMES[active]), (NAMES[follower], NAMES[leader]));
    let crash = dice.between(80, 400);
    let release = crash + dice.between(60, 500);
    vec![
        (0, Act::Kill(follower)),
        (1, Act::Start(follower)),
        (dice.between(1, 60), Act::HoldOneWay(to_controller)),
        (crash, Act::CrashMachine(follower)),
        (crash, Act::Cut(to_leader)),
        (crash + 1, Act::Start(follower)),
        (release, Act::Release(to_controller)),
        (release + dice.between(200, 1_000), Act::Join(to_leader)),
    ]
}

/// R6: what a follower acknowledged is held up on its way to the leader. Meanwhile another leads, who has less, and the
/// follower's log is cut. Then the first leads again, which the follower does not hear, and hears what is no longer so.
pub fn late_acks(dice: &Dice, watch: &Watch) -> Acts {
    let Some(active) = active(watch) else { return Acts::new() };
    let fits = |replicas: &[NodeId]| {
        let (leader, next) = (place_of(replicas[0]), place_of(replicas[1]));
        (leader == active || next == active).then_some((leader, next))
    };
    let fitting: Vec<_> = watch.partitions().filter_map(|(_, partition)| fits(&partition.replicas)).collect();
    if fitting.is_empty() {
        return Acts::new();
    }
    let (leader, next) = *dice.pick(&fitting);
    let follower = third(leader, next);
    let (lagging, acks) = ((NAMES[leader], NAMES[next]), (NAMES[follower], NAMES[leader]));
    let news = (NAMES[active], NAMES[follower]);
    let begin = dice.between(200, 400);
    let drain = begin + dice.between(250, 700);
    let undrain = drain + dice.between(60, 350);
    let deaf = undrain + dice.between(0, 60) - dice.between(0, 50);
    let release = undrain + dice.between(300, 900);
    let end = release + dice.between(300, 900);
    let only_acks = if active == leader { Act::HoldOneWay(news) } else { Act::Release(acks) };
    vec![
        (0, Act::Undrain(leader)),
        (begin, Act::Slow(lagging, dice.between(60, 200))),
        (begin + dice.between(50, 200), Act::HoldOneWay(acks)),
        (drain, Act::Drain(leader)),
        (undrain, Act::Undrain(leader)),
        (deaf, Act::Hold(news)),
        (release, only_acks),
        (end, Act::Release(news)),
        (end, Act::Hurry(lagging)),
    ]
}

fn active(watch: &Watch) -> Option<usize> {
    watch.newest().cluster().controller.map(|controller| place_of(controller.node))
}

/// The one who is neither.
fn third(one: usize, other: usize) -> usize {
    (0..NAMES.len()).find(|at| *at != one && *at != other).expect("there are three")
}
