use crate::counters::count;
use crate::error::DropReason;
use crate::fragment::{Cut, FragmentFault, Fragmentation, Step, Which};
use crate::ids::Cookies;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Phase};
use crate::machine::timers::TimerKey;
use crate::message::NON_ESP_MARKER;
use crate::plan::ConnectionPlan;
use crate::ride_along::vendor;
use alloc::vec::Vec;
use bytes::Bytes;
use drive::{Instant, Transmit, Verdict};
use ipsec_wire::isakmp::payload::Fragment;
use ipsec_wire::isakmp::{Body, Cookie, Header, Payloads};
use ipsec_wire::registry::PayloadType;

impl Endpoint {
    /// Remembers how messages to a peer are cut, once its vendor ids are known.
    pub(super) fn agree_on_parts(&mut self, core: &Core, connection: &ConnectionPlan) {
        let cuts = match connection.fragmentation {
            Fragmentation::Off | Fragmentation::Accept => false,
            Fragmentation::On => core.capabilities.fragmentation,
            Fragmentation::Force => true,
        };
        if cuts {
            let cut = Cut { size: connection.fragment_size.into(), exchange: core.mode.exchange() };
            self.table.set_cut(core.cookies, cut);
        }
    }

    /// Reads the vendor ids that a peer sends after messages 1 and 2.
    pub(super) fn learn_more(&mut self, core: &mut Core, connection: &ConnectionPlan, payloads: &Payloads<'_>) {
        let more = vendor::absorb_later(connection, core.mode, payloads, core.capabilities);
        if more != core.capabilities {
            core.capabilities = more;
            self.agree_on_parts(core, connection);
        }
    }

    /// Returns the parts of a message that is too long for its peer, `None` if it goes whole.
    pub(super) fn parts_of(&self, transmit: &Transmit) -> Option<Vec<Bytes>> {
        let marker = if self.is_marked(transmit.path) { NON_ESP_MARKER.len() } else { 0 };
        let header = Header::parse(transmit.payload.get(marker..)?).ok()?;
        let cookies = Cookies { initiator: header.initiator_cookie, responder: header.responder_cookie };
        self.table.cut(cookies)?.parts(&transmit.payload, marker, transmit.path.remote)
    }

    /// Returns the octets that a message takes on the wire, in parts or whole.
    pub(super) fn octets_on_wire(&self, transmit: &Transmit) -> usize {
        self.parts_of(transmit).map_or(transmit.payload.len(), |parts| parts.iter().map(Bytes::len).sum())
    }

    /// Takes in one part of a message, and the message if it was the last that was missing.
    ///
    /// Of the header of a part only the cookies count: what its message may do is said by the header
    /// inside. The part proves nothing, and neither does its message before it is looked at.
    pub(super) fn on_part(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        count(&mut self.own.fragments_received);
        let (which, part) = self.admit_part(incoming)?;
        let limits = self.plan.fragment_limits;
        self.count_part(&which, incoming.received);
        let step = self.table.assembly.insert(now, which, &part, &limits).map_err(DropReason::Fragment)?;
        self.watch_parts();
        match step {
            Step::Kept => Ok(Verdict::Accepted),
            Step::Repeat => {
                count(&mut self.own.duplicates);
                Ok(Verdict::Duplicate)
            }
            Step::Whole(octets) => {
                let verdict = self.on_joined(now, incoming, &octets);
                if matches!(verdict, Verdict::Ignored(_)) {
                    self.table.assembly.discard(&which);
                    self.watch_parts();
                }
                Ok(verdict)
            }
            Step::Again(octets) => {
                let verdict = self.on_joined(now, incoming, &octets);
                if matches!(verdict, Verdict::Ignored(_)) {
                    self.table.assembly.retry(&which);
                }
                Ok(verdict)
            }
        }
    }

    /// Counts a part for what may be answered to a peer that has proven nothing.
    fn count_part(&mut self, which: &Which, octets: usize) {
        let Some(mut sa) = self.table.take(which.ike_sa) else { return };
        if sa.is_half_open_responder() {
            sa.core.budget.received(octets);
        }
        self.table.put(sa);
    }

    /// Takes in a message that came in parts.
    fn on_joined(&mut self, now: Instant, incoming: &Incoming<'_>, octets: &[u8]) -> Verdict<DropReason> {
        let whole = self.parse(octets, incoming.path).ok();
        let of_this_sa = |whole: &Incoming<'_>| {
            whole.cookies == incoming.cookies && whole.header.next_payload != PayloadType::FRAGMENT
        };
        let Some(mut whole) = whole.filter(of_this_sa) else {
            return Verdict::Ignored(DropReason::Fragment(FragmentFault::NotAMessage));
        };
        count(&mut self.own.fragmented_received);
        whole.received = 0;
        self.dispatch(now, &whole)
    }

    /// Finds the SA of a part, and whether it may send parts from where it came.
    fn admit_part<'a>(&self, incoming: &Incoming<'a>) -> Result<(Which, Fragment<&'a [u8]>), DropReason> {
        if incoming.cookies.responder.is_zero() {
            return Err(DropReason::UnknownCookies);
        }
        let unanswered = incoming.cookies.with_responder(Cookie::ZERO);
        let found = self.table.with_cookies(incoming.cookies).or_else(|| self.table.with_cookies(unanswered));
        let sa = found.and_then(|id| self.table.get(id)).ok_or(DropReason::UnknownCookies)?;
        let core = &sa.core;
        let connection = self.plan.connection(core.connection).ok_or(DropReason::NoConnection)?;
        // Message 2 may come in parts before its vendor ids can be read.
        let awaits_2 = matches!(sa.phase, Phase::SaSent(_) | Phase::SaKeSent(_) | Phase::BaseSaSent(_));
        let agreed = match connection.fragmentation {
            Fragmentation::Off => false,
            Fragmentation::Accept | Fragmentation::On => core.capabilities.fragmentation || awaits_2,
            Fragmentation::Force => true,
        };
        if !agreed {
            return Err(DropReason::Fragment(FragmentFault::NotAgreed));
        }
        if incoming.path != core.path && !self.is_marked(incoming.path) {
            return Err(DropReason::WrongSource);
        }
        let Body::Clear(payloads) = incoming.body else { return Err(DropReason::Fragment(FragmentFault::Malformed)) };
        let mut payloads = payloads.iter();
        let malformed = DropReason::Fragment(FragmentFault::Malformed);
        let (Some(payload), None) = (payloads.next(), payloads.next()) else { return Err(malformed) };
        let part = Fragment::parse(payload).map_err(|_| malformed)?;
        let which = Which { ike_sa: core.id, cookies: incoming.cookies, remote: incoming.path.remote, id: part.id };
        Ok((which, part))
    }

    /// Sets the timer by which parts that stay alone are forgotten.
    fn watch_parts(&mut self) {
        match self.table.assembly.deadline(self.plan.fragment_limits.age) {
            Some(at) => self.timers.set(TimerKey::Fragments, at),
            None => {
                self.timers.cancel(&TimerKey::Fragments);
            }
        }
    }

    /// Forgets parts that waited too long for the rest.
    pub(super) fn parts_due(&mut self, now: Instant) {
        let gone = self.table.assembly.expire(now, self.plan.fragment_limits.age);
        self.own.fragmented_expired = self.own.fragmented_expired.saturating_add(gone as u64);
        self.watch_parts();
    }
}
