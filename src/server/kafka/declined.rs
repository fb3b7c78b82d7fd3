//! What the controller would not do, or not in time: a code for programs and a sentence for people.

use crate::broker::SubmitError;
use crate::controller::Refused;
use crate::wire::{ErrorCode, Text};

/// A refusal of a whole command, or of a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declined {
    pub code: ErrorCode,
    pub message: Text,
}

impl Declined {
    pub fn new(code: ErrorCode, message: impl Into<Text>) -> Self {
        Self { code, message: message.into() }
    }
}

/// An outcome as responses tell it.
pub fn told(outcome: Result<(), Declined>) -> (ErrorCode, Option<Text>) {
    match outcome {
        Ok(()) => (ErrorCode::None, None),
        Err(Declined { code, message }) => (code, Some(message)),
    }
}

impl From<&Refused> for Declined {
    fn from(refused: &Refused) -> Self {
        Self::new(ErrorCode::from_number(refused.refusal.code()), refused.message.as_str())
    }
}

impl From<SubmitError> for Declined {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Refused(refused) => refused.into(),
            SubmitError::Unknown(_) | SubmitError::NoController(_) => {
                Self::new(ErrorCode::RequestTimedOut, error.to_string())
            }
        }
    }
}
