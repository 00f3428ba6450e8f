//! A call through a backend of either era for a client of either era: what asks for input, and errors, take the form of the client's era
//! (docs/ERAS.md). Must not know particular backends.

use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use protocol::mcp::result::{ResultType, may_have_task_id, wanted_input};
use protocol::mcp::result_marks::ResultMark;

use super::crossing::Crossing;
use super::errors::{self, Adapted};
use super::rounds::{self, Round};
use super::task_notes::TaskSubject;
use super::tasks::Shown;
use crate::call::{Answer, Backend, Exchange, Request};

/// Rounds of input of one call, for a legacy client that a modern backend asks.
const MAX_ROUNDS: usize = 16;

/// Runs a call on its backend. Dropping the future cancels it.
pub(crate) async fn call(
    to: Crossing<'_>,
    name: &str,
    request: Box<Request>,
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    let subject = TaskSubject::of(&request);
    let mut answer = adapted(to.backend, name, request, exchange).await?;
    // Members of these names mean a task only in results that are one, or of requests about one.
    if let Some(subject) = subject.filter(|_| !answer.error && is_about_task(&answer)) {
        let (origin, label) = (subject.origin(exchange.generation()), exchange.label());
        subject.note(&answer.payload, &origin, &to);
        let client = subject.client.as_deref();
        let shown = Shown { owner: to.owner, client, origin: &origin, label: label.as_deref() };
        answer.payload = to.tasks.show(answer.payload, &shown);
    }
    Ok(answer)
}

/// Returns whether a result may have the id of a task.
fn is_about_task(answer: &Answer) -> bool {
    answer.marks.may_have(ResultMark::Task) && may_have_task_id(&answer.payload)
}

/// Returns whether a modern backend's result asks the client for input.
fn asks_for_input(answer: &Answer) -> bool {
    answer.marks.may_have(ResultMark::OtherType)
        && ResultType::of(&answer.payload) == ResultType::InputRequired
}

/// Runs a call, and returns its answer in the form of the client's era.
async fn adapted(
    backend: &dyn Backend,
    name: &str,
    request: Box<Request>,
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    let (client, method) = (request.header.era, request.header.method.clone());
    let before = backend.version().map(Version::era);
    let again =
        (client == Era::Legacy && before == Some(Era::Modern)).then(|| Box::new(rounds::copy(&request)));
    let capabilities = (client == Era::Modern).then(|| rounds::declared(&request)).flatten();
    let answer = backend.call(name, *request, exchange).await?;
    let Some(era) = backend.version().map(Version::era).filter(|era| *era != client) else {
        return Ok(answer);
    };
    if answer.error {
        return Ok(match errors::adapt(answer.payload, era, &method, capabilities.as_deref())? {
            Adapted::Error(payload) => Answer::error(payload),
            Adapted::InputRequired(payload) => Answer::result(payload),
        });
    }
    match again {
        Some(first) if asks_for_input(&answer) => {
            Box::pin(ask_in_rounds(backend, name, &first, answer, exchange)).await
        }
        _ => Ok(answer),
    }
}

/// Asks a legacy client for what a modern backend's result requires, and calls the backend again with the answers, as often as it asks.
async fn ask_in_rounds(
    backend: &dyn Backend,
    name: &str,
    first: &Request,
    mut answer: Answer,
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    let declared = first.header.client_capabilities.as_ref().map(|json| json.0.get().as_bytes());
    for _ in 0..MAX_ROUNDS {
        let round = Round::read(&answer.payload)?;
        let responses = round.ask(declared, exchange).await?;
        let request = rounds::with_answers(first, &responses, round.state.as_deref())?;
        answer = backend.call(name, request, exchange).await?;
        if answer.error {
            return match errors::adapt(answer.payload, Era::Modern, &first.header.method, None)? {
                Adapted::Error(payload) | Adapted::InputRequired(payload) => Ok(Answer::error(payload)),
            };
        }
        if !asks_for_input(&answer) {
            return Ok(answer);
        }
    }
    Err(Failure::InputUnsupported {
        wanted: format!("{}, in more than {MAX_ROUNDS} rounds", wanted_input(&answer.payload)),
    })
}
