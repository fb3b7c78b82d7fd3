//! What was measured, for people and for programs. Pure.

use std::time::Duration;

use serde::Serialize;

use super::driver::Tally;
use crate::cli::table::Table;

/// What was asked for.
#[derive(Clone, Serialize)]
pub(super) struct Plan {
    pub(super) partitions: i32,
    pub(super) replication_factor: i16,
    pub(super) acks: i16,
    pub(super) produce_version: i16,
    pub(super) idempotent: bool,
    pub(super) connections: u16,
    pub(super) in_flight: u16,
    pub(super) records: u32,
    pub(super) record_bytes: u32,
}

pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) produced: Phase,
    pub(super) consumed: Option<Phase>,
}

/// One phase.
pub(super) struct Phase {
    pub(super) tally: Tally,
    pub(super) seconds: u64,
    /// Where the server's processes are known.
    pub(super) cost: Option<Cost>,
}

/// What the server spent while it counted, and the memory it had at the end.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    pub(super) cpu: Duration,
    /// What the kernel spent meanwhile to bring what was written to the disk.
    pub(super) write_back: Duration,
    pub(super) resident_bytes: u64,
}

/// A phase in numbers.
#[derive(Serialize)]
struct Figures {
    requests: u64,
    requests_per_second: f64,
    records_per_second: f64,
    megabytes_per_second: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    p999_us: Option<f64>,
    server_cpu_us_per_request: Option<f64>,
    server_cpu_seconds_per_gigabyte: Option<f64>,
    write_back_cpu_seconds_per_gigabyte: Option<f64>,
    server_resident_mib: Option<f64>,
}

impl Phase {
    fn figures(&self) -> Figures {
        let Tally { requests, records, bytes, latencies } = &self.tally;
        let per_second = |count: u64| count as f64 / self.seconds as f64;
        let below = |thousandths| latencies.below(thousandths).map(|took| took.as_nanos() as f64 / 1e3);
        let per = |spent: Duration, unit: f64, of: u64| spent.as_secs_f64() * unit / (of as f64).max(1.0);
        Figures {
            requests: *requests,
            requests_per_second: per_second(*requests),
            records_per_second: per_second(*records),
            megabytes_per_second: per_second(*bytes) / 1e6,
            p50_us: below(500),
            p99_us: below(990),
            p999_us: below(999),
            server_cpu_us_per_request: self.cost.map(|cost| per(cost.cpu, 1e6, *requests)),
            server_cpu_seconds_per_gigabyte: self.cost.map(|cost| per(cost.cpu, 1e9, *bytes)),
            write_back_cpu_seconds_per_gigabyte: self.cost.map(|cost| per(cost.write_back, 1e9, *bytes)),
            server_resident_mib: self.cost.map(|cost| cost.resident_bytes as f64 / (1024.0 * 1024.0)),
        }
    }
}

impl Report {
    pub(super) fn text(&self) -> String {
        let Plan { partitions, replication_factor, acks, produce_version, idempotent, .. } = &self.plan;
        let Plan { connections, in_flight, records, record_bytes, .. } = &self.plan;
        let acks = if *acks < 0 { "all".to_owned() } else { acks.to_string() };
        let kind = if *idempotent { "idempotent" } else { "plain" };
        let mut table = Table::headed([
            "",
            "REQUESTS/S",
            "RECORDS/S",
            "MB/S",
            "P50 us",
            "P99 us",
            "P99.9 us",
            "CPU us/REQUEST",
            "CPU s/GB",
            "RSS MiB",
        ]);
        let mut beside = String::new();
        let phases = [("produce", Some(&self.produced)), ("consume", self.consumed.as_ref())];
        for (name, phase) in phases {
            let Some(figures) = phase.map(Phase::figures) else { continue };
            table.row([
                name.to_owned(),
                format!("{:.0}", figures.requests_per_second),
                format!("{:.0}", figures.records_per_second),
                format!("{:.1}", figures.megabytes_per_second),
                shown(figures.p50_us, 0),
                shown(figures.p99_us, 0),
                shown(figures.p999_us, 0),
                shown(figures.server_cpu_us_per_request, 2),
                shown(figures.server_cpu_seconds_per_gigabyte, 3),
                shown(figures.server_resident_mib, 1),
            ]);
            if let Some(spent) = figures.write_back_cpu_seconds_per_gigabyte {
                beside += &format!("{name}: the kernel's write-back spent {spent:.3} s/GB beside the server\n");
            }
        }
        format!(
            "{partitions} partitions, {replication_factor} replicas, acks={acks}, Produce v{produce_version} {kind}, \
             {connections} connections with {in_flight} in flight, {records} x {record_bytes} B a request\n\n{}",
            table.text() + &beside
        )
    }

    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Told<'a> {
            plan: &'a Plan,
            produce: Figures,
            consume: Option<Figures>,
        }
        let told = Told {
            plan: &self.plan,
            produce: self.produced.figures(),
            consume: self.consumed.as_ref().map(Phase::figures),
        };
        serde_json::to_string_pretty(&told).expect("numbers and texts can always be written") + "\n"
    }
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map(|figure| format!("{figure:.digits$}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut tally = Tally { requests: 1000, records: 2000, bytes: 2_000_000_000, ..Default::default() };
        (0..1000).for_each(|_| tally.latencies.record(Duration::from_micros(100)));
        let cost =
            Some(Cost { cpu: Duration::from_millis(5), write_back: Duration::from_millis(3), resident_bytes: 3 << 20 });
        let plan = Plan {
            partitions: 6,
            replication_factor: 1,
            acks: -1,
            produce_version: 13,
            idempotent: true,
            connections: 2,
            in_flight: 5,
            records: 2,
            record_bytes: 1000,
        };
        let consumed = Some(Phase { tally: tally.clone(), seconds: 2, cost: None });
        Report { plan, produced: Phase { tally, seconds: 2, cost }, consumed }
    }

    #[test]
    fn figures_are_per_second_per_request_and_per_gigabyte() {
        let figures = report().produced.figures();
        assert_eq!(figures.requests_per_second, 500.0);
        assert_eq!(figures.megabytes_per_second, 1000.0);
        assert_eq!(figures.server_cpu_us_per_request, Some(5.0));
        assert_eq!(figures.server_cpu_seconds_per_gigabyte, Some(0.0025));
        assert_eq!(figures.write_back_cpu_seconds_per_gigabyte, Some(0.0015));
        assert_eq!(figures.server_resident_mib, Some(3.0));
    }

    #[test]
    fn where_the_server_is_not_known_its_costs_are_left_out() {
        let text = report().text();
        assert!(text.contains("acks=all, Produce v13 idempotent"), "{text}");
        let consumed = text.lines().find(|line| line.starts_with("consume")).unwrap();
        let cells: Vec<&str> = consumed.split_whitespace().collect();
        assert_eq!((cells[0], &cells[7..]), ("consume", &["-"; 3][..]), "{text}");
        let told: Vec<&str> = text.lines().filter(|line| line.contains("write-back")).collect();
        assert_eq!(told, ["produce: the kernel's write-back spent 0.002 s/GB beside the server"]);
        assert!(report().json().contains("\"server_cpu_us_per_request\": null"));
    }
}
