//! `dohle events [--follow]`.

use clap::Args;

use super::target::{Failure, Node, Target};
use super::{json, listed, or_none};
use crate::cli::{Console, Output};
use crate::rpc::admin::event::What;
use crate::rpc::admin::events_client::EventsClient;
use crate::rpc::admin::{Event, WatchRequest};
use crate::rpc::words;

#[derive(Args)]
#[command(after_help = "A node remembers what it has seen since it started, the last few thousand events. Times are \
UTC, by the clock of the node\nthat is asked.

Examples:
  dohle events                                  what has happened lately
  dohle events --follow                         and what happens from now on, until Ctrl-C
  dohle events --follow -o json | jq 'select(.leader_changed)'")]
pub(in crate::cli) struct EventsArguments {
    /// Goes on with what happens from now on
    #[arg(short, long)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) target: Target,
}

pub(super) async fn run(arguments: &EventsArguments, node: &Node, console: &mut Console) -> Result<(), Failure> {
    let mut client = EventsClient::new(node.channel());
    let mut events = node.answer(client.watch(WatchRequest { follow: arguments.follow })).await?;
    let mut last = 0;
    while let Some(event) = events.message().await.map_err(|status| node.refused(&status))? {
        let missed = event.number.saturating_sub(last + 1);
        let line = match arguments.target.output {
            Output::Json => json(&event, serde_json::to_string),
            Output::Table if missed > 0 => format!("({missed} events are forgotten)\n{}", text(&event)),
            Output::Table => text(&event),
        };
        if console.line(&line).is_err() {
            return Ok(()); // whoever read it has read enough
        }
        last = event.number;
    }
    Ok(())
}

pub(super) fn text(event: &Event) -> String {
    format!("{}  {}", utc(event.seen_ms), event.what.as_ref().map_or_else(|| "something new".to_owned(), said))
}

fn said(what: &What) -> String {
    match what {
        What::LeaderChanged(it) => {
            let (before, now) = (or_none(it.before), or_none(it.now));
            format!("partition {}-{}: leader {before} -> {now}, epoch {}", it.topic, it.partition, it.leader_epoch)
        }
        What::IsrChanged(it) => {
            let (before, now, elr) = (set(&it.before), set(&it.now), set(&it.elr));
            format!("partition {}-{}: ISR {before} -> {now}, ELR {elr}", it.topic, it.partition)
        }
        What::NodeChanged(it) => {
            let [before, now] = [it.before, it.now].map(words::node_state).map(|state| match state.as_str() {
                "unspecified" => "absent".to_owned(),
                _ => state,
            });
            let draining = if it.draining { ", draining" } else { "" };
            format!("node {}: {before} -> {now}{draining}, epoch {}", it.node_id, it.broker_epoch)
        }
        What::ControllerChanged(it) => {
            format!("controller: {} -> {}, epoch {}", or_none(it.before), it.now, it.epoch)
        }
        What::TopicChanged(it) => {
            let change = words::change(it.change);
            format!("topic {}: {change}, partitions {}, id {}", it.topic, it.partitions, it.topic_id)
        }
    }
}

fn set(nodes: &[i32]) -> String {
    format!("[{}]", listed(nodes))
}

/// A time as RFC 3339 writes it.
fn utc(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes, seconds) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", in_day % 1000)
}

/// Year, month and day of a number of days since 1970. Years are counted from March, so that the day which only some of
/// them have is their last, and in eras of 400, which all have the same length.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let since_march_of_year_0 = days + 719_468;
    let (era, in_era) = (since_march_of_year_0.div_euclid(ERA_DAYS), since_march_of_year_0.rem_euclid(ERA_DAYS));
    let year_in_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / (ERA_DAYS - 1)) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    let months_since_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    (era * 400 + year_in_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_writes_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999Z");
    }
}
