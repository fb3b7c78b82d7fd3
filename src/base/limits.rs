//! Every bound of the system, with its reason: what is not listed here is not bounded, and that is a bug.

/// Jobs that may wait for one worker. More would only hide that the disk cannot keep up.
pub const WORKER_QUEUE_JOBS_MAX: usize = 1024;
