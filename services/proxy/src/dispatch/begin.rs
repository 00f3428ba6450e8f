//! The beginning of a call: limits, route, header, and the first attempt to send it. Must not know responses.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use front::calls::CallContext;
use policy::{Clearance, Subject, SubjectKind};
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use protocol::link::limits::MAX_HEADER;
use protocol::link::response_check::ResponseCheck;
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use runtime::activity::CallGuard;
use runtime::call_lines;

use super::call_state::CallMachine;
use super::denial;
use super::exchange;
use super::forwarder::Forwarder;
use super::ongoing::{OngoingCall, dispatch};
use super::open_call::OpenCall;
use super::permission::{self, PoolAccess};
use super::policies::CallTimes;
use super::pool::Pool;
use super::send::{Origin, Target};
use super::slave_wait::SlaveWait;
use crate::fleet::Fleet;
use crate::limits::client::Client;
use crate::limits::day_quotas::DayQuotas;
use crate::limits::table::{RateLimits, admit_to_tool};
use crate::links::{ResponseRx, Slave};
use crate::routes::{ClientIdentity, MatchInput, Route};
use crate::trace::CallTrace;

/// Bytes that most headers have room in.
const USUAL_HEADER: usize = 384;

/// A call that has arrived.
pub(super) struct NewCall {
    pub(super) id: CallId,
    pub(super) at: Instant,
    pub(super) trace: CallTrace,
    /// Without the tool's name, which is in `tool`.
    pub(super) header: CallHeader,
    pub(super) message: Bytes,
    /// The clients' name of the tool, prompt or resource; else the method.
    pub(super) tool: String,
    /// What the call was about that a client goes on with.
    pub(super) about: Option<About>,
}

/// What a call names. Only the policy asks it of a call that goes on with another one.
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl NewCall {
    /// A call that arrives now.
    pub(super) fn new(id: CallId, trace: CallTrace, header: CallHeader, message: Bytes) -> Self {
        Self { id, at: Instant::now(), trace, header, message, tool: String::new(), about: None }
    }

    /// Takes what the call names out of its header; of a request that names nothing, its method.
    pub(super) fn take_name(&mut self) -> Result<(), Failure> {
        let header = &mut self.header;
        if !header.purpose.is_request() {
            let named = header.kind.take().zip(header.name.take());
            self.about = named.map(|(kind, name)| About { kind, name });
            return Ok(());
        }
        self.tool = match header.kind {
            None => header.method.clone(),
            Some(_) => {
                header.name.take().ok_or_else(|| Failure::InvalidParams("\"name\" is missing".into()))?
            }
        };
        Ok(())
    }

    /// Completes the header and moves message and trace into the call to be sent.
    fn open(&mut self, pool: &Pool, times: CallTimes, fleet: &Fleet) -> Result<OpenCall, Failure> {
        self.header.set_timeouts(times.silence, times.total);
        let named = self.header.session.as_ref().zip(self.header.request_id.as_ref());
        self.header.cancel_id = named.and_then(|(session, request)| fleet.cancel_id(session, request));
        let own_name = self.header.kind.map(|_| pool.own_name_of(&self.tool));
        self.header.name = own_name.as_deref().map(str::to_owned);
        self.header.state_label = exchange::label_length(self.header.request_state);
        Ok(OpenCall {
            id: self.id,
            header: encode(&self.header, &self.trace)?,
            message: std::mem::take(&mut self.message),
            name: own_name,
            era: self.header.era,
            silence: times.silence,
            last: self.at + times.total,
            place: self.header.place.clone(),
            lines: call_lines::begin(self.at),
            trace: std::mem::take(&mut self.trace),
        })
    }
}

/// Asks the policy for a call; `None`: there is none.
fn clear(pool: &Pool, call: &NewCall, context: &CallContext<'_>) -> Result<Option<Arc<Clearance>>, Failure> {
    let Some(access) = &pool.access else { return Ok(None) };
    let client = &context.requester();
    let cleared = access.clear(client, &call.tool, &call.message);
    cleared.map(Some).map_err(|decision| {
        denial::record(access.policy(), decision, call.header.kind, &call.tool, client);
        if call.header.purpose.is_request() {
            denial::failure(access.policy(), decision, call.header.kind, &call.tool, client)
        } else {
            Failure::StateLost
        }
    })
}

/// Counts a request of a client for a tool, prompt or resource under the policy's quotas, or refuses it. Once: whatever becomes of the call.
fn admit_to_quotas(
    used: &DayQuotas,
    pool: &Pool,
    call: &NewCall,
    context: &CallContext<'_>,
) -> Result<(), Failure> {
    let Some(policy) = pool.access.as_ref().map(PoolAccess::policy) else { return Ok(()) };
    let kind = call.header.kind.and_then(|kind| SubjectKind::of(Some(kind)));
    let Some(kind) = kind.filter(|_| call.header.purpose.is_request()) else { return Ok(()) };
    if policy.quotas().is_empty() {
        return Ok(());
    }
    let own = pool.own_name_of(&call.tool);
    let (requester, subject) = (context.requester(), Subject::named(kind, &call.tool, &own));
    let concerning = policy.quotas().iter().filter(|quota| quota.counts(&requester, &subject));
    used.take(concerning, Client::without_session(context))
}

/// Begins a call. The error says why it was refused, in which case no slave has it.
pub(super) fn begin(
    forwarder: &Arc<Forwarder>,
    pool: &Arc<Pool>,
    limits: &RateLimits,
    times: CallTimes,
    mut new_call: NewCall,
    context: &CallContext<'_>,
) -> Result<Box<OngoingCall>, Failure> {
    limits.admit(context)?;
    let clearance = clear(pool, &new_call, context)?;
    admit_to_tool(&new_call.tool, pool.limit.as_deref())?;
    admit_to_quotas(&limits.quotas, pool, &new_call, context)?;
    let fleet = forwarder.registry.fleet();
    let route = choose_route(pool, &new_call, context, fleet)?.cleared(clearance);
    let route = permission::narrow(pool.access.as_ref(), &new_call.tool, route)
        .ok_or_else(|| denial::unknown(pool.kind, new_call.tool.clone()))?;
    let client = context.client(new_call.header.session.as_deref());
    new_call.header.identity = context.credential.identity();
    new_call.header.client = client.and_then(|client| fleet.client_id(client));
    let call = new_call.open(pool, times, fleet)?;
    let NewCall { at, mut header, tool, .. } = new_call;
    let origin = Origin::of(context, &mut header, pool);
    let response = Arc::new(ResponseRx::default());
    let target = Target {
        call: &call,
        tool: &tool,
        pool,
        route: &route,
        avoid: None,
        origin: &origin,
        response: &response,
    };
    let grace = forwarder.grace().min(call.silence);
    let (retries, last) = (pool.max_retries, call.last);
    let (machine, awaiting) = match dispatch(forwarder, &target, at) {
        Ok(start) => (CallMachine::new(start, retries, last, grace), None),
        Err(failure) => match forwarder.wait_for_slave(&failure, &tool, pool, &route, at) {
            Some(SlaveWait { until, place }) => {
                (CallMachine::searching(retries, last, grace, at, until.min(at + call.silence)), place)
            }
            None => return Err(failure),
        },
    };
    Ok(Box::new(OngoingCall {
        machine,
        forwarder: Arc::clone(forwarder),
        pool: Arc::clone(pool),
        route,
        origin,
        response,
        check: ResponseCheck::default(),
        call,
        tool,
        version: header.version,
        began: at,
        timer: None,
        guard: CallGuard::default(),
        awaiting,
    }))
}

/// Returns the slaves that the rules choose for a call, and of these the one that gave out what it brings back.
fn choose_route(
    pool: &Pool,
    new_call: &NewCall,
    context: &CallContext<'_>,
    fleet: &Fleet,
) -> Result<Route<Slave>, Failure> {
    let route = pool.routes.route(&MatchInput::new(
        ClientIdentity::of(context),
        context.headers,
        &new_call.header.param_headers,
        &new_call.message,
    ))?;
    let state = new_call.header.request_state;
    exchange::narrow(route, state, fleet).map_err(|failure| exchange::explain(pool.kind, failure))
}

/// Encodes a header that leaves room for a trace context.
fn encode(header: &CallHeader, trace: &CallTrace) -> Result<Bytes, Failure> {
    let mut text = Vec::with_capacity(USUAL_HEADER);
    serde_json::to_writer(&mut text, header).map_err(|_| Failure::Internal)?;
    if text.len() + trace.header_bytes() > MAX_HEADER {
        return Err(Failure::InvalidRequest("names, ids and Mcp-* headers are too long".into()));
    }
    Ok(Bytes::from(text))
}
