//! One sentence and one exit code: what every operation of the daemon ends with when it does not succeed.

use catalog::CatalogError;
use model::{Exit, IdError, SpecError};
use plan::{ApplyError, HostError, Refusal};

use crate::state::StateError;

/// Why an operation did not succeed. The text goes to whoever asked, and to the journal.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    /// Exit code of the client.
    pub exit: Exit,
    /// Object, cause, remedy.
    pub sentence: String,
}

impl Failure {
    /// A failure with this sentence.
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into() }
    }

    /// This failure, and that going back failed, too: the first cause must not be lost behind the second.
    pub fn and_then(self, second: &Failure) -> Self {
        let sentence = format!(
            "{}; going back failed, too: {}; restart tenantd, which ends what was begun",
            self.sentence, second.sentence
        );
        Self { sentence, ..self }
    }
}

macro_rules! failure_from {
    ($($error:ty => $exit:expr),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let exit: fn(&$error) -> Exit = $exit;
                Self { exit: exit(&error), sentence: error.to_string() }
            }
        })+
    };
}

failure_from! {
    CatalogError => CatalogError::exit,
    StateError => StateError::exit,
    Refusal => Refusal::exit,
    ApplyError => ApplyError::exit,
    HostError => |error| error.exit,
    IdError => |_| Exit::Data,
    SpecError => |_| Exit::Data,
    serde_json::Error => |_| Exit::Software,
}

impl From<Failure> for api::Error {
    fn from(failure: Failure) -> Self {
        api::Error::new(failure.exit, failure.sentence)
    }
}
