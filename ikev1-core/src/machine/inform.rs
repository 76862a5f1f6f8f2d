use crate::action::{Direction, RemoveReason};
use crate::counters::count;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::ids::{ChildId, Cookies, IkeSaId, Role};
use crate::informational::delete::{self, Named};
use crate::informational::heartbeat;
use crate::keys::{IsakmpKeys, IvChain};
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Exchange, IkeSa, Phase, Quick};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::message::{check_hash_1, hashed};
use crate::plan::HeartbeatMode;
use crate::state_name::StateName;
use crate::transition::{self, Protection};
use alloc::vec::Vec;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::payload::{Delete, Notification, NotificationData};
use ipsec_wire::isakmp::{Body, Chain, Cookie, Payloads};
use ipsec_wire::registry::{ExchangeType, NotifyType, PayloadType, ProtocolId};

/// One thing that a protected informational message asks for.
enum Item {
    Delete(Named),
    AreYouThere(u32),
    Alive(u32),
    Heartbeat(u32),
    InitialContact,
    /// CONNECTED under the message id of a quick mode.
    Connected(u32),
    Notify(NotifyType, Option<u32>),
}

/// The lowest number of a notification that is no error, RFC 2408 §3.14.1.
const FIRST_STATUS: u16 = 16_384;

impl Endpoint {
    /// Sends one protected informational message: it is not answered, so it is not kept.
    pub(super) fn inform(&mut self, core: &Core, keys: &IsakmpKeys, phase1: &IvChain, rest: &Chain) {
        let message_id = self.draw_message_id(core);
        let mut iv = phase1.for_message_id(message_id);
        let chain = hashed(&keys.hash_1(message_id, rest.octets()), rest);
        let transmit = self.sealed(core.envelope(), Name::informational(message_id), &chain, keys, &mut iv);
        self.send(transmit);
    }

    /// Sends one protected informational message under an SA that is up.
    pub(super) fn inform_up(&mut self, sa: &IkeSa, rest: &Chain) {
        if let Some(up) = sa.up() {
            self.inform(&sa.core, &up.keys, &up.iv, rest);
        }
    }

    /// Draws a message id that no exchange of the SA uses; never 0.
    pub(super) fn draw_message_id(&mut self, core: &Core) -> u32 {
        loop {
            let id = self.rng.next_u32();
            if id != 0 && !core.exchanges.contains_key(&id) && !core.transactions.contains_key(&id) {
                return id;
            }
        }
    }

    /// Takes in an informational message.
    pub(super) fn on_informational(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let unanswered = incoming.cookies.with_responder(Cookie::ZERO);
        let id = self.table.with_cookies(incoming.cookies).or_else(|| self.table.with_cookies(unanswered));
        let Some(sa) = id.and_then(|id| self.table.take(id)) else { return Err(DropReason::UnknownCookies) };
        match incoming.body {
            Body::Clear(payloads) => self.on_hint(sa, incoming, &payloads),
            Body::Encrypted(body) => self.on_protected(now, sa, incoming, body),
        }
    }

    /// An unprotected message: anyone can have sent it, so it is a hint at most.
    fn on_hint(&mut self, mut sa: IkeSa, incoming: &Incoming<'_>, payloads: &Payloads<'_>) -> Taken {
        let error = payloads
            .iter()
            .filter(|payload| payload.payload_type() == PayloadType::NOTIFICATION)
            .filter_map(|payload| Notification::parse(payload).ok())
            .map(|notification| notification.notify_type)
            .find(|notify_type| notify_type.0 < FIRST_STATUS);
        let Some(notify) = error else {
            self.table.put(sa);
            return Err(DropReason::Unprotected);
        };
        if incoming.path.remote.ip() != sa.core.path.remote.ip() {
            self.table.put(sa);
            return Err(DropReason::WrongSource);
        }
        if sa.core.hint != Some(notify.0) {
            sa.core.hint = Some(notify.0);
            self.event(Event::NotifyReceived { ike_sa: sa.core.id, notify, protected: false, spi: None });
        }
        let trusted = self.plan.connection(sa.core.connection).is_some_and(|plan| plan.trust_unprotected_errors);
        if trusted && sa.core.role == Role::Initiator && sa.up().is_none() {
            self.fail_phase1(sa, Failure::RefusedByPeer(notify.0));
        } else {
            self.table.put(sa);
        }
        Err(DropReason::Hint)
    }

    /// A protected message: nothing in it acts before its HASH is found right.
    fn on_protected(&mut self, now: Instant, sa: IkeSa, incoming: &Incoming<'_>, body: &[u8]) -> Taken {
        let message_id = incoming.message_id();
        let (checked, up) = match &sa.phase {
            Phase::AuthSent(state) => (self.check_items(&sa, incoming, body, state.keys.isakmp(), &state.iv), false),
            Phase::Up(up) => {
                let admitted = up.finished.admits(message_id);
                (admitted.and_then(|()| self.check_items(&sa, incoming, body, &up.keys, &up.iv)), true)
            }
            Phase::SaKeAuthSent(state) => {
                (self.check_items(&sa, incoming, body, state.keys.isakmp(), &state.iv), false)
            }
            Phase::SaSent(_) | Phase::KeSent(_) | Phase::SaRecv(_) | Phase::SaKeSent(_) => {
                (Err(DropReason::NoKeys), false)
            }
            Phase::BaseSaSent(_) | Phase::BaseKeAuthSent(_) | Phase::BaseSaRecv(_) => (Err(DropReason::NoKeys), false),
            Phase::KeRecv(_) | Phase::Judging(..) => (Err(DropReason::Unexpected), false),
        };
        match checked {
            Ok(items) if up => self.act(now, sa, incoming, items),
            Ok(items) => self.act_in_phase1(sa, items),
            Err(reason) => {
                let mut sa = sa;
                // While message 6 is awaited: a responder that cannot read message 5 answers under its
                // own keys, which are not ours.
                if matches!(sa.phase, Phase::AuthSent(_)) && reason == DropReason::DecryptFailed {
                    sa.core.suspicion = Some(Failure::ProbablyWrongKey);
                }
                // While message 3 of aggressive mode is awaited: a peer that sends more believes that phase 1
                // is done, and the IV of what it sends is not known here.
                self.message_3_is_missing(&mut sa, incoming);
                self.table.put(sa);
                Err(reason)
            }
        }
    }

    /// Decrypts a message, checks its HASH, and reads what it asks for.
    fn check_items(
        &mut self,
        sa: &IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        keys: &IsakmpKeys,
        phase1: &IvChain,
    ) -> Result<Vec<Item>, DropReason> {
        if !self.may_come(&sa.core, incoming.path) {
            return Err(DropReason::WrongSource);
        }
        let message_id = incoming.message_id();
        let read = self.read_items(sa, incoming, body, keys, &phase1.for_message_id(message_id));
        // CONNECTED has the message id of its quick mode, and some peers go on with its IV chain too.
        let waiting = |exchange: &&Exchange| matches!(exchange.state, Quick::WaitConnected(_));
        match (&read, sa.core.exchanges.get(&message_id).filter(waiting)) {
            (Err(_), Some(exchange)) => self.read_items(sa, incoming, body, keys, &exchange.iv),
            _ => read,
        }
    }

    fn read_items(
        &mut self,
        sa: &IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        keys: &IsakmpKeys,
        iv: &IvChain,
    ) -> Result<Vec<Item>, DropReason> {
        let message_id = incoming.message_id();
        let row = transition::row(ExchangeType::INFORMATIONAL, Role::Responder, StateName::InfoIdle)
            .ok_or(DropReason::Unexpected)?;
        let opened = self.open(incoming, body, (keys, iv), row)?;
        let payloads = opened.payloads()?;
        check_hash_1(keys, message_id, &payloads)?;
        count(&mut self.counters.rx_decrypt_good);
        let name = Name::informational(message_id);
        let from = sa.core.envelope();
        self.trace(Direction::Inbound, from, name, &payloads, Protection::Encrypted, incoming.length);
        let plan = self.plan.connection(sa.core.connection).map(|connection| connection.heartbeats);
        let plan = plan.filter(|plan| plan.mode != HeartbeatMode::Off);
        let heartbeat_number = |notification: &Notification<&[u8]>| {
            plan.and_then(|plan| heartbeat::number(notification, plan.notify, sa.core.cookies))
        };
        let mut items = Vec::new();
        for payload in &payloads {
            match payload.payload_type() {
                PayloadType::DELETE => {
                    let delete = Delete::parse(payload).map_err(|_| DropReason::Malformed)?;
                    items.push(Item::Delete(delete::named(&delete)));
                }
                PayloadType::NOTIFICATION => {
                    let notification = Notification::parse(payload).map_err(|_| DropReason::Malformed)?;
                    let beat = heartbeat_number(&notification);
                    items.push(match (notification.notify_type, beat) {
                        (_, Some(number)) => Item::Heartbeat(number),
                        (NotifyType::CONNECTED, None) => Item::Connected(message_id),
                        (_, None) => item_of(&notification),
                    });
                }
                _ => {}
            }
        }
        Ok(items)
    }

    /// Acts on a protected message of a peer that refuses message 5, or message 2 of aggressive mode.
    fn act_in_phase1(&mut self, sa: IkeSa, items: Vec<Item>) -> Taken {
        let error = items.into_iter().find_map(|item| match item {
            Item::Notify(notify, _) if notify.0 < FIRST_STATUS => Some(notify),
            Item::Notify(..)
            | Item::Connected(_)
            | Item::Delete(_)
            | Item::AreYouThere(_)
            | Item::Alive(_)
            | Item::Heartbeat(_)
            | Item::InitialContact => None,
        });
        let Some(notify) = error else {
            self.table.put(sa);
            return Err(DropReason::Unexpected);
        };
        self.event(Event::NotifyReceived { ike_sa: sa.core.id, notify, protected: true, spi: None });
        self.fail_phase1(sa, Failure::RefusedByPeer(notify.0));
        Ok(Verdict::Accepted)
    }

    /// Acts on a protected message, item by item, as long as its SA lives.
    fn act(&mut self, now: Instant, mut sa: IkeSa, incoming: &Incoming<'_>, items: Vec<Item>) -> Taken {
        let id = sa.core.id;
        if let Some(up) = sa.up_mut() {
            up.finished.insert(incoming.message_id());
            if up.finished.asks_for_renewal() {
                self.timers.set(TimerKey::IkeSoft(id), now);
            }
        }
        self.proved_alive(now, &mut sa, incoming.path);
        self.table.put(sa);
        for item in items {
            let Some(sa) = self.table.take(id) else { break };
            self.act_on(now, sa, item);
        }
        Ok(Verdict::Accepted)
    }

    fn act_on(&mut self, now: Instant, mut sa: IkeSa, item: Item) {
        let (id, cookies) = (sa.core.id, sa.core.cookies);
        match item {
            Item::Delete(Named::Isakmp(named)) => {
                self.table.put(sa);
                self.on_delete_isakmp(id, cookies, &named);
            }
            Item::Delete(Named::Ipsec(protocol, spis)) => {
                let (spis, children) = self.named_by_delete(&mut sa, protocol, spis);
                self.table.put(sa);
                self.event(Event::DeleteReceived { ike_sa: id, protocol: protocol.0, spis });
                for child in children {
                    self.remove_child(child, RemoveReason::DeletedByPeer);
                }
            }
            Item::Delete(Named::Other) => self.table.put(sa),
            Item::AreYouThere(sequence) => {
                let answer = sa.up_mut().and_then(|up| up.dpd.answer(sequence, cookies));
                if let Some(chain) = answer {
                    self.inform_up(&sa, &chain);
                }
                self.table.put(sa);
            }
            Item::Alive(sequence) => {
                if let Some(up) = sa.up_mut()
                    && up.dpd.acknowledges(sequence)
                {
                    up.dpd.heard(now);
                }
                self.table.put(sa);
            }
            Item::Heartbeat(number) => {
                self.on_heartbeat(now, &mut sa, number);
                self.table.put(sa);
            }
            Item::InitialContact => {
                match sa.up_mut() {
                    // Who the peer is will be known when the user is; until then nothing of others ends.
                    Some(up) if !up.session.is_open() => up.session.initial_contact = true,
                    Some(_) | None => self.on_initial_contact(&sa),
                }
                self.table.put(sa);
            }
            Item::Connected(message_id) => {
                let notify = NotifyType::CONNECTED;
                self.event(Event::NotifyReceived { ike_sa: id, notify, protected: true, spi: None });
                self.connected(now, &mut sa, message_id);
                self.table.put(sa);
            }
            Item::Notify(notify, spi) => {
                self.event(Event::NotifyReceived { ike_sa: id, notify, protected: true, spi });
                if notify.0 < FIRST_STATUS {
                    self.on_refusal(&mut sa, notify, spi);
                    self.start_waiting(now, &mut sa);
                }
                self.table.put(sa);
            }
        }
    }

    /// Returns the SPIs of a Delete that name SAs of its sender, and the pairs that end by it.
    fn named_by_delete(&mut self, sa: &mut IkeSa, protocol: ProtocolId, spis: Vec<u32>) -> (Vec<u32>, Vec<ChildId>) {
        let peer = sa.peer_key();
        let (mut known, mut children) = (Vec::new(), Vec::new());
        for spi in spis {
            // A Delete names SAs of its sender, RFC 2408 §3.15; a peer that could not install a pair may name the
            // one it was to send with, which is ours.
            let named = |peer| {
                let sent = self.table.with_outbound(protocol, spi, peer);
                sent.or_else(|| self.table.with_inbound(protocol, spi, peer))
            };
            if let Some(child) = peer.as_ref().and_then(named).and_then(|id| self.table.child(id)) {
                if !children.contains(&child.id) {
                    sa.core.companions.remember(&child.sas, (protocol, spi));
                    children.push(child.id);
                }
            } else if !sa.core.companions.take(protocol, spi) {
                count(&mut self.counters.info_phase2_sa_not_found);
                continue;
            }
            known.push(spi);
        }
        (known, children)
    }

    /// A Delete of ISAKMP SAs: the one it came under, or others of the same peer.
    fn on_delete_isakmp(&mut self, under: IkeSaId, cookies: Cookies, named: &[Option<[u8; 16]>]) {
        let peer = self.table.get(under).and_then(IkeSa::peer_key);
        for octets in named {
            let wanted = octets.map_or(cookies, |octets| {
                let (mut initiator, mut responder) = ([0; 8], [0; 8]);
                let (first, second) = octets.split_at(8);
                initiator.copy_from_slice(first);
                responder.copy_from_slice(second);
                Cookies { initiator: Cookie(initiator), responder: Cookie(responder) }
            });
            let found = self
                .table
                .with_cookies(wanted)
                .filter(|id| *id == under || peer.is_some() && self.table.get(*id).and_then(IkeSa::peer_key) == peer);
            let Some(sa) = found.and_then(|id| self.table.take(id)) else {
                count(&mut self.own.foreign_spi);
                continue;
            };
            self.event(Event::DeleteReceived { ike_sa: under, protocol: 1, spis: Vec::new() });
            let connection = self.plan.connection(sa.core.connection);
            let with_children = connection.is_some_and(|connection| connection.children_end_with_ike);
            self.end_ike(sa, RemoveReason::DeletedByPeer, with_children);
        }
    }

    /// An error notification: it ends the quick mode it is about, or the pair that this end took for good.
    fn on_refusal(&mut self, sa: &mut IkeSa, notify: NotifyType, spi: Option<u32>) {
        let waiting = |state: &Quick| match state {
            Quick::WaitHashSaNonce(state) => Some(state.spis().iter().any(|(_, inbound)| spi == Some(inbound))), // Of message 2 the peer knows its own SPIs: those that this end would send to.
            Quick::WaitHash(state) => Some(state.outbound.sas.iter().any(|(outbound, _)| spi == Some(*outbound))),
            Quick::Starting(_) | Quick::SendingHashSaNonce(..) | Quick::WaitConnected(_) | Quick::Done => None,
        };
        let ours: Vec<(u32, bool)> =
            sa.core.exchanges.iter().filter_map(|(id, exchange)| Some((*id, waiting(&exchange.state)?))).collect();
        let named = ours.iter().find(|(_, named)| *named);
        let found = match (named, ours.as_slice()) {
            (Some((id, _)), _) | (None, [(id, _)]) => Some(*id),
            (None, _) => None,
        };
        if let Some(message_id) = found {
            self.fail_exchange(sa, message_id, Failure::RefusedByPeer(notify.0));
        } else if let (NotifyType::NO_PROPOSAL_CHOSEN, Some(spi), Some(peer)) = (notify, spi, sa.peer_key())
            && let Some(child) = self.table.with_spi(spi, &peer)
        {
            // The peer could not install what both agreed on: it would drop all that is sent.
            self.tell_child_end(sa, child);
            self.remove_child(child, RemoveReason::Failed(Failure::RefusedByPeer(notify.0)));
        }
    }
}

fn item_of(notification: &Notification<&[u8]>) -> Item {
    let spi = <[u8; 4]>::try_from(notification.spi).ok().map(u32::from_be_bytes);
    match notification.typed_data() {
        Ok(NotificationData::AreYouThere(sequence)) => Item::AreYouThere(sequence),
        Ok(NotificationData::AreYouThereAck(sequence)) => Item::Alive(sequence),
        Ok(NotificationData::InitialContact) => Item::InitialContact,
        _ => Item::Notify(notification.notify_type, spi),
    }
}
