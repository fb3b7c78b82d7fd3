//! A process that does not run for a while and then goes on as if nothing had happened (SIGSTOP, a virtual machine that
//! is moved): its clocks go on, it does not.
//!
//! Absent on purpose: what the libraries spawn themselves (Raft's engine, open HTTP/2 connections) is not stopped. With
//! all links held, as the simulation does, nobody can tell from outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Lets the tasks of a process run, or not.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Standing>>);

#[derive(Default)]
struct Standing {
    is_closed: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    pub fn open(&self) {
        let waiting = {
            let mut standing = self.lock();
            standing.is_closed = false;
            std::mem::take(&mut standing.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// A task that runs only while the gate is open.
    pub fn behind<F: Future<Output = ()> + ?Sized>(&self, task: Pin<Box<F>>) -> Gated<F> {
        Gated { gate: self.clone(), task }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().expect("nobody panics at the gate")
    }
}

pub struct Gated<F: ?Sized> {
    gate: Gate,
    task: Pin<Box<F>>,
}

impl<F: Future<Output = ()> + ?Sized> Future for Gated<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut standing = self.gate.lock();
            if standing.is_closed {
                standing.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.task.as_mut().poll(cx)
    }
}
