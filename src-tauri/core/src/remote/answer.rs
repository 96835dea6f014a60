//! What a device answered to a question or a login.
//!
//! russh reports a cut connection as a failure without methods, and a failure can arrive too late for the question it
//! belongs to. So its results are interpreted here and nowhere else, and what is not an SSH message that answers this
//! very request is [`Answer::Unknown`].

use russh::{MethodKind, client::AuthResult};

use crate::error::sentence::phrases;

/// A device's answer to "would you accept this key?" or to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The key or password is accepted.
    Accepted,
    /// It is refused, in so many words.
    Refused,
    /// It is accepted, and something more is asked for (RFC 4252, section 5.1).
    Partial,
    /// The device did not say.
    Unknown(Unknown),
}

phrases! {
    /// Why an answer is unknown.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    Unknown {
        /// No answer within the timeout.
        Timeout = "timeout", "no answer in time";
        /// The connection ended without an answer.
        Cut = "cut", "the connection ended without an answer";
        /// The answer names no method to go on with, which no server that judged a key sends.
        Empty = "empty", "the refusal names no method";
        /// We could not ask.
        NotAsked = "not-asked", "the question could not be sent";
    }
}

/// How far a public-key request had come when its result arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The question was sent.
    Asked,
    /// The server said the key would do, and the signature was sent or withheld.
    Offered,
}

/// Whether the server said goodbye (`SSH_MSG_DISCONNECT`) or the connection merely ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Neither; the connection stands.
    Open,
    /// A DISCONNECT message came.
    Disconnect,
    /// The stream ended.
    Bare,
}

/// Interprets russh's result of one request, and gives the methods that may go on.
///
/// A DISCONNECT counts as a refusal only in answer to the question, as `MaxAuthTries 1` sends it; after a signature it
/// says nothing about the key.
pub(super) fn interpret(
    result: Option<Result<AuthResult, russh::Error>>,
    progress: Progress,
    ending: Ending,
) -> (Answer, Vec<MethodKind>) {
    match result {
        None => (Answer::Unknown(Unknown::Timeout), Vec::new()),
        Some(Ok(AuthResult::Success)) => (Answer::Accepted, Vec::new()),
        Some(Ok(AuthResult::Failure { remaining_methods, partial_success })) => {
            let methods = remaining_methods.to_vec();
            let answer = match (methods.is_empty(), partial_success, ending, progress) {
                (false, true, ..) => Answer::Partial,
                (false, false, ..) => Answer::Refused,
                (true, _, Ending::Disconnect, Progress::Asked) => Answer::Refused,
                (true, _, Ending::Open, _) => Answer::Unknown(Unknown::Empty),
                (true, ..) => Answer::Unknown(Unknown::Cut),
            };
            (answer, methods)
        }
        Some(Err(_)) if ending == Ending::Disconnect && progress == Progress::Asked => (Answer::Refused, Vec::new()),
        Some(Err(_)) => (Answer::Unknown(Unknown::Cut), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use russh::MethodSet;

    use super::*;

    fn failure(methods: &[MethodKind], partial_success: bool) -> Option<Result<AuthResult, russh::Error>> {
        Some(Ok(AuthResult::Failure { remaining_methods: MethodSet::from(methods), partial_success }))
    }

    #[test]
    fn only_an_answer_with_methods_or_a_goodbye_to_the_question_is_a_refusal() {
        use Answer::{Accepted, Partial, Refused, Unknown as Unclear};
        use Ending::{Bare, Disconnect, Open};
        use Progress::{Asked, Offered};
        let methods = &[MethodKind::PublicKey][..];
        let table = [
            (Some(Ok(AuthResult::Success)), Offered, Open, Accepted),
            (failure(methods, false), Asked, Open, Refused),
            (failure(methods, false), Offered, Open, Refused),
            (failure(methods, true), Offered, Open, Partial),
            (failure(&[], false), Asked, Disconnect, Refused),
            (failure(&[], false), Offered, Disconnect, Unclear(Unknown::Cut)),
            (failure(&[], false), Asked, Bare, Unclear(Unknown::Cut)),
            (failure(&[], false), Asked, Open, Unclear(Unknown::Empty)),
            (Some(Err(russh::Error::SendError)), Asked, Bare, Unclear(Unknown::Cut)),
            (Some(Err(russh::Error::SendError)), Asked, Disconnect, Refused),
            (None, Asked, Open, Unclear(Unknown::Timeout)),
        ];
        for (number, (result, progress, ending, expected)) in table.into_iter().enumerate() {
            let (answer, _) = interpret(result, progress, ending);
            assert_eq!(answer, expected, "row {number}: a wrong reading here becomes a lockout or a false success");
        }
    }
}
