//! What real peers sent, read as tshark reads it.

use hex::decode;
use l2tpv3::digest::{Check, DigestAlgorithm, Digests, Keys, Nonces};
use l2tpv3::registry::MessageType;
use l2tpv3::wire::{
    Carrier, Collected, ControlMessage, Cookie, DataLayout, Dialect, EmitOptions, Packet, Sublayer, classify, emit,
};
use serde_json::Value;

struct Frame {
    file: String,
    number: u64,
    carrier: Carrier,
    source: String,
    payload: Vec<u8>,
    tshark: Value,
}

fn frames() -> Vec<Frame> {
    let json: Value = serde_json::from_str(include_str!("vectors/captures.json")).unwrap();
    let frames = json["captures"].as_array().unwrap().iter();
    frames
        .map(|frame| Frame {
            file: frame["file"].as_str().unwrap().into(),
            number: frame["frame"].as_u64().unwrap(),
            carrier: if frame["carrier"] == "ip" { Carrier::Ip } else { Carrier::Udp },
            source: frame["source"].as_str().unwrap().into(),
            payload: decode(frame["payload"].as_str().unwrap()).unwrap(),
            tshark: frame["tshark"].clone(),
        })
        .collect()
}

impl Frame {
    fn field(&self, name: &str) -> Option<&str> {
        self.tshark.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        let text = self.field(name)?;
        let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
        Some(number.unwrap())
    }

    fn control(&self) -> Option<ControlMessage<'_>> {
        match classify(self.carrier, &self.payload).unwrap() {
            Packet::Control(message) => Some(message),
            _ => None,
        }
    }
}

#[test]
fn control_messages_of_every_capture_read_as_tshark_reads_them() {
    let mut seen = 0;
    for frame in frames() {
        let Some(message) = frame.control() else { continue };
        seen += 1;
        let place = format!("{} frame {}", frame.file, frame.number);
        assert_eq!(frame.number("version"), Some(u64::from(message.header.version)), "{place}");
        assert_eq!(frame.number("ccid"), Some(u64::from(message.header.connection_id)), "{place}");
        assert_eq!(frame.number("Ns"), Some(u64::from(message.header.ns)), "{place}");
        assert_eq!(frame.number("Nr"), Some(u64::from(message.header.nr)), "{place}");
        assert_eq!(frame.number("length"), Some(message.octets().len() as u64), "{place}");
        let avps: Vec<_> = message.avps().map(Result::unwrap).collect();
        let lengths: Vec<_> = avps.iter().map(|avp| (avp.value.len() + 6).to_string()).collect();
        assert_eq!(frame.field("avp.length").unwrap_or(""), lengths.join(","), "{place}");
        if message.is_zero_length_body() {
            continue;
        }
        let collected = Collected::read(&message, None).unwrap();
        let attributes = &collected.attributes;
        assert_eq!(frame.number("avp.message_type"), Some(u64::from(collected.message_type.0)), "{place}");
        let name = attributes.host_name.as_ref().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(frame.field("avp.host_name"), name.as_deref(), "{place}");
        assert_eq!(frame.number("avp.router_id"), attributes.router_id.map(u64::from), "{place}");
        let local = attributes.local_session_id.map(|id| u64::from(id.get()));
        assert_eq!(frame.number("avp.local_session_id"), local, "{place}");
        assert_eq!(frame.number("avp.remote_session_id"), attributes.remote_session_id.map(u64::from), "{place}");
        assert_eq!(collected.offence, None, "{place}");
    }
    assert_eq!(seen, 90);
}

#[test]
fn data_of_every_capture_reads_as_tshark_reads_it() {
    let mut seen = 0;
    for frame in frames() {
        let Packet::Data(session) = classify(frame.carrier, &frame.payload).unwrap() else { continue };
        seen += 1;
        assert_eq!(frame.number("sid"), Some(u64::from(session)), "{} {}", frame.file, frame.number);
        let cookie_at = DataLayout::cookie_at(frame.carrier);
        let cookie =
            frame.field("cookie").map_or(Cookie::NONE, |hex| Cookie::from_slice(&decode(hex).unwrap()).unwrap());
        assert_eq!(cookie.matches(&frame.payload[cookie_at..]), Some(true), "{} {}", frame.file, frame.number);
    }
    assert_eq!(seen, 69);
}

/// The nonces of an exchange: of the end that sent the SCCRQ, and of the other.
fn nonces(frames: &[Frame], file: &str) -> Option<(String, Vec<u8>, Vec<u8>)> {
    let nonce = |wanted: MessageType| {
        frames.iter().filter(|frame| frame.file == file).find_map(|frame| {
            let message = frame.control()?;
            let collected = Collected::read(&message, None).ok()?;
            (collected.message_type == wanted)
                .then(|| (frame.source.clone(), collected.attributes.nonce.map(|nonce| nonce.to_vec())))
        })
    };
    let (source, first) = nonce(MessageType::SCCRQ)?;
    let (_, second) = nonce(MessageType::SCCRP)?;
    Some((source, first?, second?))
}

#[test]
fn digests_of_the_authenticated_captures_are_right_and_only_with_the_right_secret() {
    let frames = frames();
    for (file, algorithm) in
        [("made-ip-md5-cookie8.pcap", DigestAlgorithm::Md5), ("made-ip-sha1-cookie4-seq.pcap", DigestAlgorithm::Sha1)]
    {
        let (initiator, ours, theirs) = nonces(&frames, file).unwrap();
        let (right, wrong) = (Keys::derive(b"secret"), Keys::derive(b"secreT"));
        let mut checked = 0;
        for frame in frames.iter().filter(|frame| frame.file == file) {
            let Some(message) = frame.control() else { continue };
            let first = frame.number("avp.message_type") == Some(1);
            let nonces = match (first, frame.source == initiator) {
                (true, _) => Nonces::default(),
                (false, true) => Nonces { sender: &ours, receiver: &theirs },
                (false, false) => Nonces { sender: &theirs, receiver: &ours },
            };
            let digests = Digests::of(&message);
            assert_eq!(
                digests.check(&[&wrong, &right], &[algorithm], nonces),
                Check::Right(1),
                "{file} {}",
                frame.number
            );
            assert_eq!(digests.check(&[&wrong], &[algorithm], nonces), Check::Wrong);
            let other = if algorithm == DigestAlgorithm::Md5 { DigestAlgorithm::Sha1 } else { DigestAlgorithm::Md5 };
            assert_eq!(digests.check(&[&right], &[other], nonces), Check::Wrong, "an algorithm that was not agreed");
            if !first {
                let exchanged = Nonces { sender: nonces.receiver, receiver: nonces.sender };
                assert_eq!(digests.check(&[&right], &[algorithm], exchanged), Check::Wrong);
            }
            checked += 1;
        }
        assert_eq!(checked, 11);
    }
}

#[test]
fn every_flipped_bit_of_an_authenticated_message_is_found() {
    let frames = frames();
    let (_, _, theirs) = nonces(&frames, "made-udp-md5-emptysecret.pcap").unwrap();
    let keys = Keys::derive(b"");
    let sccrp = frames
        .iter()
        .find(|frame| frame.file == "made-udp-md5-emptysecret.pcap" && frame.number("avp.message_type") == Some(2));
    let frame = sccrp.unwrap();
    let (_, ours, _) = nonces(&frames, &frame.file).unwrap();
    let nonces = Nonces { sender: &theirs, receiver: &ours };
    let check = |octets: &[u8]| match classify(frame.carrier, octets) {
        Ok(Packet::Control(message)) => Digests::of(&message).check(&[&keys], &[DigestAlgorithm::Md5], nonces),
        _ => Check::Missing,
    };
    assert_eq!(check(&frame.payload), Check::Right(0));
    for bit in 0..frame.payload.len() * 8 {
        let mut flipped = frame.payload.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        assert!(!matches!(check(&flipped), Check::Right(_)), "bit {bit}");
    }
}

#[test]
fn what_a_peer_said_survives_being_written_again() {
    for frame in frames() {
        let Some(message) = frame.control() else { continue };
        if message.is_zero_length_body() {
            continue;
        }
        let collected = Collected::read(&message, None).unwrap();
        for dialect in [Dialect::Rfc, Dialect::Cisco] {
            let options =
                EmitOptions { connection_id: message.header.connection_id, dialect, ..EmitOptions::default() };
            let octets = emit(collected.message_type, &collected.attributes, &options).unwrap();
            let again = ControlMessage::parse(&octets).unwrap();
            let read = Collected::read(&again, None).unwrap();
            assert_eq!(read.attributes, collected.attributes, "{} {}", frame.file, frame.number);
            assert_eq!(read.message_type, collected.message_type);
        }
    }
}

#[test]
fn the_messages_of_go_l2tp_read_as_tshark_reads_them() {
    let json: Value = serde_json::from_str(include_str!("vectors/go_l2tp_messages.json")).unwrap();
    for vector in json["vectors"].as_array().unwrap() {
        let octets = decode(vector["hex"].as_str().unwrap()).unwrap();
        let types = vector["tshark"]["avp_types"].as_str().unwrap();
        let avps: Vec<_> = if vector["kind"] == "message" {
            let message = ControlMessage::parse(&octets).unwrap();
            assert_eq!(vector["tshark"]["version"], message.header.version.to_string());
            message.avps().collect()
        } else {
            l2tpv3::wire::Avps::new(&octets, 0).collect()
        };
        let read: Vec<_> = avps.into_iter().map(|avp| avp.unwrap().attribute.0.to_string()).collect();
        assert_eq!(types, read.join(","));
    }
}

#[test]
fn only_the_default_sublayer_and_none_are_supported() {
    use l2tpv3::registry::SublayerType;
    assert_eq!(Sublayer::try_from(SublayerType::NONE), Ok(Sublayer::None));
    assert_eq!(Sublayer::try_from(SublayerType::DEFAULT), Ok(Sublayer::Default));
    assert_eq!(Sublayer::try_from(SublayerType::ATM), Err(SublayerType::ATM));
}
