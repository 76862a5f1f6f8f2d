//! The ways of real peers, as they were seen on the wire: each is tolerated, and nothing more.

mod common;

use common::*;
use drive::{Datagram, Instant, Machine, Verdict};
use l2tpv3::config::{CircuitConfig, CookieLength, PeerConfig};
use l2tpv3::registry::{AttributeType, MessageType, StopResult};
use l2tpv3::wire::{Carrier, Collected, ControlMessage, RawAvp, RawMessage};
use l2tpv3::*;
use serde_json::Value;

fn avp(flags: u16, attribute: AttributeType, value: &[u8]) -> RawAvp {
    RawAvp { flags, attribute: attribute.0, value: value.to_vec(), ..RawAvp::default() }
}

/// A peer that says exactly what it is told to, with right numbers.
struct Puppet {
    router: Router,
    now: Instant,
    /// The router's identifiers, learnt from what it sends.
    connection: u32,
    session: u32,
    ns: u16,
    nr: u16,
    heard: Vec<(MessageType, bool)>,
}

impl Puppet {
    fn new(config: PeerConfig) -> Self {
        let router = router("ours.example", 1, vec![config], 5);
        let mut puppet =
            Self { router, now: Instant::ZERO, connection: 0, session: 0, ns: 0, nr: 0, heard: Vec::new() };
        puppet.router.handle_command(Instant::ZERO, Command::Connect { peer: PeerId(0), path: None }).unwrap();
        puppet.listen();
        puppet
    }

    /// Takes in what the router sends; an empty message is noted as an ACK without body.
    fn listen(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(action) = self.router.poll_action() {
            match action {
                Action::Event(event) => events.push(event),
                Action::Transmit(transmit) => {
                    let message = ControlMessage::parse(&transmit.payload).unwrap();
                    if message.is_zero_length_body() {
                        self.heard.push((MessageType::ACK, true));
                        continue;
                    }
                    let read = Collected::read(&message, None).unwrap();
                    self.heard.push((read.message_type, false));
                    if read.message_type == MessageType::ACK {
                        continue;
                    }
                    self.nr = self.nr.max(message.header.ns + 1);
                    self.connection = read.attributes.assigned_connection_id.map_or(self.connection, u32::from);
                    self.session = read.attributes.local_session_id.map_or(self.session, u32::from);
                }
                other => panic!("{other:?}"),
            }
        }
        events
    }

    fn say(&mut self, message: MessageType, avps: Vec<RawAvp>) -> Vec<Event> {
        let kind = avp(0x8000, AttributeType::MESSAGE_TYPE, &message.0.to_be_bytes());
        let avps = core::iter::once(kind).chain(avps).collect();
        let (connection_id, ns, nr) = (self.connection, self.ns, self.nr);
        let payload = &RawMessage { connection_id, ns, nr, avps, ..RawMessage::default() }.octets();
        let datagram = Datagram { path: path(Carrier::Udp), payload };
        assert_eq!(self.router.handle_datagram(self.now, datagram), Verdict::Accepted, "{message}");
        self.ns += 1;
        self.listen()
    }

    fn softether_reply(&mut self) -> Vec<Event> {
        let reply = vec![
            avp(0x8000, AttributeType::PROTOCOL_VERSION, &[1, 0]),
            avp(0, AttributeType::FRAMING_CAPABILITIES, &[0; 4]),
            avp(0x8000, AttributeType::HOST_NAME, b"vm"),
            avp(0, AttributeType::VENDOR_NAME, b"L2TP"),
            avp(0x8000, AttributeType::ASSIGNED_CONNECTION_ID, &[0, 0, 0, 1]),
            avp(0x8000, AttributeType::PSEUDOWIRE_CAPABILITIES, &[0, 5, 0, 4]),
            avp(0x8000, AttributeType::RECEIVE_WINDOW, &[0, 16]),
        ];
        self.say(MessageType::SCCRP, reply)
    }

    fn softether_call(&mut self) -> Vec<Event> {
        let reply = vec![
            avp(0x8000, AttributeType::LOCAL_SESSION_ID, &[0xba, 0x4f, 0x34, 0x12]),
            avp(0x8000, AttributeType::PSEUDOWIRE_TYPE, &[0, 5]),
            avp(0x8000, AttributeType::REMOTE_SESSION_ID, &self.session.to_be_bytes()),
        ];
        self.say(MessageType::ICRP, reply)
    }
}

fn without_cookie() -> PeerConfig {
    let circuit = CircuitConfig { cookie: CookieLength::None, ..asked("101") };
    PeerConfig { circuits: vec![circuit], ..left(Carrier::Udp) }
}

#[test]
fn softether_comes_up_without_router_id_and_circuit_status() {
    let mut puppet = Puppet::new(without_cookie());
    let events = puppet.softether_reply();
    assert!(matches!(&events[0], Event::ConnectionUp { identity, .. } if identity.router_id.is_none()));
    let events = puppet.softether_call();
    let Event::SessionUp { parameters, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(parameters.remote_id.get(), 0xba4f_3412);
    assert!(parameters.remote_cookie.is_empty());
}

#[test]
fn softether_gets_empty_messages_as_acknowledgements_since_an_ack_would_take_a_number() {
    let mut puppet = Puppet::new(without_cookie());
    puppet.softether_reply();
    puppet.softether_call();
    puppet.say(MessageType::HELLO, vec![]);
    puppet.say(MessageType::HELLO, vec![]);
    let acknowledgements: Vec<_> = puppet.heard.iter().filter(|(kind, _)| *kind == MessageType::ACK).collect();
    assert!(!acknowledgements.is_empty() && acknowledgements.iter().all(|(_, empty)| *empty));
}

#[test]
fn a_cdn_with_a_mangled_local_session_id_finds_its_session_by_the_other_one() {
    let mut puppet = Puppet::new(without_cookie());
    puppet.softether_reply();
    puppet.softether_call();
    let cdn = vec![
        avp(0x8000, AttributeType::LOCAL_SESSION_ID, &[0x34, 0x12, 0, 0]),
        avp(0x8000, AttributeType::RESULT_CODE, &[0, 3, 0, 0]),
        avp(0x8000, AttributeType::REMOTE_SESSION_ID, &puppet.session.to_be_bytes()),
    ];
    let events = puppet.say(MessageType::CDN, cdn);
    assert!(
        matches!(&events[0], Event::SessionDown { reason: SessionDownReason::Peer(cause), .. } if cause.result == 3)
    );
}

#[test]
fn softethers_stop_with_its_odd_result_code_ends_the_connection_and_is_acknowledged_again_and_again() {
    let mut puppet = Puppet::new(without_cookie());
    puppet.softether_reply();
    puppet.softether_call();
    let stop = vec![
        avp(0x8000, AttributeType::ASSIGNED_CONNECTION_ID, &[0, 0, 0, 1]),
        avp(0x8000, AttributeType::RESULT_CODE, &[0, 0, 6, 0, 0, 0, 0, 0]),
    ];
    let events = puppet.say(MessageType::STOP_CCN, stop);
    assert!(events.iter().any(|event| matches!(event, Event::ConnectionDown { reason: DownReason::Peer(cause), .. } if cause.result == 0 && cause.text.is_empty())));
    // It repeats itself every half second until it hears an answer.
    puppet.heard.clear();
    for _ in 0..6 {
        puppet.ns -= 1;
        let kind = avp(0x8000, AttributeType::MESSAGE_TYPE, &[0, 4]);
        let (connection_id, ns, nr) = (puppet.connection, puppet.ns, puppet.nr);
        let payload = &RawMessage { connection_id, ns, nr, avps: vec![kind], ..RawMessage::default() }.octets();
        let datagram = Datagram { path: path(Carrier::Udp), payload };
        assert_eq!(puppet.router.handle_datagram(puppet.now, datagram), Verdict::Duplicate);
        puppet.ns += 1;
        puppet.listen();
    }
    assert_eq!(puppet.heard, [(MessageType::ACK, true); 6]);
}

#[test]
fn a_stop_that_answers_ours_is_acknowledged_too() {
    let mut puppet = Puppet::new(without_cookie());
    puppet.softether_reply();
    let connection = puppet.router.endpoint.connection_statuses(puppet.now)[0].connection;
    let close = Command::Disconnect { connection, result: StopResult::CLEARED };
    puppet.router.handle_command(puppet.now, close).unwrap();
    puppet.listen();
    puppet.heard.clear();
    let stop = vec![avp(0x8000, AttributeType::ASSIGNED_CONNECTION_ID, &[0, 0, 0, 1])];
    puppet.say(MessageType::STOP_CCN, stop);
    assert_eq!(puppet.heard, [(MessageType::ACK, true)]);
}

/// The request of freeRtr, as captured: made for automatic fallback, over IP, with a tie breaker.
#[test]
fn the_captured_request_of_freertr_is_answered() {
    let json: Value = serde_json::from_str(include_str!("vectors/captures.json")).unwrap();
    let frames = json["captures"].as_array().unwrap();
    let request = frames
        .iter()
        .find(|frame| frame["file"] == "freertr-l2tpv3-ip-control.pcap" && frame["tshark"]["avp.message_type"] == "1");
    let payload = hex::decode(request.unwrap()["payload"].as_str().unwrap()).unwrap();
    let mut responder = router("ours.example", 2, vec![PeerConfig { address: None, ..right() }], 5);
    let datagram = Datagram { path: path(Carrier::Ip).reversed(), payload: &payload };
    assert_eq!(responder.handle_datagram(Instant::ZERO, datagram), Verdict::Accepted);
    let Some(Action::Transmit(transmit)) = responder.poll_action() else { panic!() };
    let message = ControlMessage::parse(&transmit.payload[4..]).unwrap();
    assert_eq!(Collected::read(&message, None).unwrap().message_type, MessageType::SCCRP);
}

/// The request of prol2tp, as another project's tests have it.
#[test]
fn the_recorded_request_of_prol2tp_is_answered() {
    let json: Value = serde_json::from_str(include_str!("vectors/go_l2tp_messages.json")).unwrap();
    let vectors = json["vectors"].as_array().unwrap();
    let request = vectors.iter().find(|vector| vector["kind"] == "message" && vector["tshark"]["version"] == "3");
    let payload = hex::decode(request.unwrap()["hex"].as_str().unwrap()).unwrap();
    let mut responder = router("ours.example", 2, vec![PeerConfig { address: None, ..right() }], 5);
    let datagram = Datagram { path: path(Carrier::Udp).reversed(), payload: &payload };
    assert_eq!(responder.handle_datagram(Instant::ZERO, datagram), Verdict::Accepted);
}
