//! The live view: a page of text, drawn over the one before. Pure but for the codes of the terminal.

use std::collections::BTreeSet;

use super::load::{Load, MIN_IN_SYNC, REPLICAS};
use super::processes::Nodes;
use super::report::seconds;
use crate::base::ids::NodeId;
use crate::client::{PartitionView, TopicView};

/// The page, and how many of its lines are on the screen.
#[derive(Default)]
pub(super) struct View {
    lines_shown: usize,
}

impl View {
    /// The codes and the text that put a new page where the old one is.
    pub(super) fn draw(&mut self, page: &str) -> String {
        let back = match self.lines_shown {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        self.lines_shown = page.lines().count();
        let lines = page.lines().map(|line| format!("{line}\x1b[K\n"));
        back + &lines.collect::<String>() + "\x1b[J"
    }

    /// A line was typed: the terminal has moved down by one.
    pub(super) fn on_typed(&mut self) {
        self.lines_shown += 1;
    }
}

/// The page of a lab that runs.
pub(super) fn page(nodes: &Nodes, load: &Load, message: &str) -> String {
    let view = load.view();
    let mut page = nodes_table(nodes, view.as_ref());
    page += &partitions_table(view.as_ref());
    page += &numbers(load);
    page +=
        &format!("\n{message}\n1, 2 or 3 and Enter kills or revives that node; q and Enter, or Ctrl-C, ends the lab\n");
    page
}

fn nodes_table(nodes: &Nodes, view: Option<&TopicView>) -> String {
    let partitions = || view.into_iter().flat_map(|view| view.partitions.values());
    let mut table = "\nnode  state    leads  in sync\n".to_owned();
    for node in nodes.ids() {
        let state = if nodes.is_running(node) { "running" } else { "killed" };
        let leads = partitions().filter(|partition| partition.leader == Some(node)).count();
        let in_sync = partitions().filter(|partition| partition.in_sync.contains(&node)).count();
        table += &format!("{:>4}  {state:<7}  {leads:>5}  {in_sync:>7}\n", node.0);
    }
    table
}

fn partitions_table(view: Option<&TopicView>) -> String {
    let mut table = "\npartition  leader  epoch  in sync\n".to_owned();
    for (index, partition) in view.into_iter().flat_map(|view| &view.partitions) {
        let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        table += &format!("{:>9}  {leader:>6}  {:>5}  {}\n", index.0, partition.epoch.0, in_sync(partition));
    }
    table
}

/// Who is in sync, and what that means for writing.
fn in_sync(partition: &PartitionView) -> String {
    let nodes: BTreeSet<NodeId> = partition.in_sync.iter().copied().collect();
    let nodes: Vec<String> = nodes.into_iter().map(|node| node.to_string()).collect();
    let remark = match nodes.len() {
        few if few < MIN_IN_SYNC as usize => "  too few to write",
        some if some < REPLICAS as usize => "  one is missing",
        _ => "",
    };
    nodes.join(" ") + remark
}

fn numbers(load: &Load) -> String {
    let marks = load.board().marks();
    let (live, timeline) = (&marks.live, &marks.timeline);
    let gap = match (timeline.is_in_outage(), timeline.gaps().last()) {
        (true, _) => "under way".to_owned(),
        (false, Some(gap)) => seconds(*gap),
        (false, None) => "none yet".to_owned(),
    };
    let mut text = format!(
        "\nsent {}  acknowledged {}  given up {}\nlost {}  duplicated {}  reordered {}\nlast failover {gap}\n",
        live.ledger.sent(),
        live.ledger.acked(),
        live.ledger.given_up(),
        live.lost(),
        live.reading.duplicated(),
        live.reading.reordered(),
    );
    if let Some(trouble) = &marks.trouble {
        text += &format!("reading: {trouble}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_over_the_one_before() {
        let mut view = View::default();
        assert_eq!(view.draw("a\nb\n"), "a\x1b[K\nb\x1b[K\n\x1b[J");
        assert!(view.draw("c\n").starts_with("\x1b[2Ac"));
        view.on_typed();
        assert!(view.draw("d\n").starts_with("\x1b[2Ad"), "one line of the page, one that was typed");
    }
}
