//! Many frames in one call against the same frames one by one.

mod common;

use common::{asked, calm, circuit, frame, left, pair, path, right};
use drive::Path;
use l2tpv3::config::{CircuitConfig, PeerConfig};
use l2tpv3::registry::{PseudowireType, SequencingLevel};
use l2tpv3::wire::{Carrier, Cookie, MAX_DATA_HEADER, Sublayer};
use l2tpv3::{DataPlane, DropReason, EncapsulateError, InPacket, OutFrame, SessionId, SessionParameters};
use proptest::prelude::*;
use std::num::NonZeroU32;

const SESSIONS: u32 = 12;

fn id(number: u32) -> SessionId {
    SessionId(NonZeroU32::new(number).unwrap())
}

/// A session of each kind: carriers, cookies, sublayers and numbering mixed.
fn parameters(number: u32) -> SessionParameters {
    let cookie = [Cookie::NONE, Cookie::four(*b"four"), Cookie::eight(*b"eightlen")][number as usize % 3];
    let (sublayer, level) = match number % 4 {
        0 => (Sublayer::None, SequencingLevel::NONE),
        1 => (Sublayer::Default, SequencingLevel::NONE),
        2 => (Sublayer::Default, SequencingLevel::NON_IP),
        _ => (Sublayer::Default, SequencingLevel::ALL),
    };
    SessionParameters {
        path: path(if number.is_multiple_of(2) { Carrier::Ip } else { Carrier::Udp }),
        local_id: id(number),
        remote_id: id(number).0,
        local_cookie: cookie,
        remote_cookie: cookie,
        pseudowire: if number == 7 { PseudowireType::ETHERNET_VLAN } else { PseudowireType::ETHERNET },
        receive_sublayer: sublayer,
        send_sublayer: sublayer,
        receive_sequencing: level,
        send_sequencing: level,
        rewrite_vlan: (number == 7).then_some(9),
        resynchronise_after: 3,
    }
}

/// The two planes of a link, the second as the peer of the first.
fn planes() -> [DataPlane; 2] {
    let mut planes = [DataPlane::new(), DataPlane::new()];
    for number in 1..=SESSIONS {
        let ours = parameters(number);
        planes[0].install(ours).unwrap();
        planes[1].install(SessionParameters { path: ours.path.reversed(), ..ours }).unwrap();
    }
    planes[0].set_peer_circuit(id(5), false);
    planes
}

/// A frame of `length` octets for session `number`, tagged where the session wants it.
fn buffer(number: u32, length: usize) -> Vec<u8> {
    let mut buffer = vec![number as u8; MAX_DATA_HEADER + length];
    if let Some(kind) = buffer.get_mut(MAX_DATA_HEADER + 12..MAX_DATA_HEADER + 14) {
        kind.copy_from_slice(if number == 7 { &[0x81, 0] } else { &[0x08, 0x06] });
    }
    buffer
}

type Sent = (Path, Vec<u8>);

/// The packets of some frames, made one by one and in one batch, which must agree.
fn sent(single: &mut DataPlane, batch: &mut DataPlane, frames: &[(u32, usize)]) -> Vec<Result<Sent, EncapsulateError>> {
    let mut alone: Vec<_> = frames.iter().map(|(number, length)| buffer(*number, *length)).collect();
    let mut together = alone.clone();
    let ones: Vec<_> = alone
        .iter_mut()
        .zip(frames)
        .map(|(buffer, (number, _))| {
            let end = buffer.len();
            let done = single.encapsulate(id(*number), buffer, MAX_DATA_HEADER..end);
            done.map(|done| (done.path, buffer[done.packet].to_vec()))
        })
        .collect();
    let items = together.iter_mut().zip(frames);
    let mut items: Vec<_> = items
        .map(|(buffer, (number, _))| {
            let end = buffer.len();
            OutFrame::new(id(*number), buffer, MAX_DATA_HEADER..end)
        })
        .collect();
    batch.encapsulate_batch(&mut items);
    let many: Vec<_> = items
        .iter()
        .map(|item| {
            let done = item.outcome.clone().expect("every frame has an outcome");
            done.map(|done| (done.path, item.buffer[done.packet].to_vec()))
        })
        .collect();
    assert_eq!(ones, many);
    many
}

fn received(single: &mut DataPlane, batch: &mut DataPlane, packets: &[Sent]) -> Vec<Result<Vec<u8>, DropReason>> {
    let mut alone: Vec<_> = packets.to_vec();
    let mut together = packets.to_vec();
    let ones: Vec<_> = alone
        .iter_mut()
        .map(|(path, packet)| {
            let done = single.decapsulate(path.reversed(), packet);
            done.map(|done| (done.session, packet[done.frame].to_vec()))
        })
        .collect();
    let mut items: Vec<_> = together.iter_mut().map(|(path, packet)| InPacket::new(path.reversed(), packet)).collect();
    batch.decapsulate_batch(&mut items);
    let many: Vec<_> = items
        .iter()
        .map(|item| {
            let done = item.outcome.clone().expect("every packet has an outcome");
            done.map(|done| (done.session, item.buffer[done.frame].to_vec()))
        })
        .collect();
    assert_eq!(ones, many);
    many.into_iter().map(|done| done.map(|(_, frame)| frame)).collect()
}

fn same_counts(first: &DataPlane, second: &DataPlane) {
    for number in 1..=SESSIONS {
        assert_eq!(first.counters(id(number)), second.counters(id(number)));
        assert_eq!(first.sequence_numbers(id(number)), second.sequence_numbers(id(number)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_batch_equals_its_frames_one_by_one(
        frames in proptest::collection::vec((1u32..=SESSIONS + 2, 10usize..40), 0..200),
        harm in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..30, any::<u8>()), 0..20),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let [mut single_out, mut single_in] = planes();
        let [mut batch_out, mut batch_in] = planes();
        let packets: Vec<Sent> = sent(&mut single_out, &mut batch_out, &frames).into_iter().flatten().collect();
        same_counts(&single_out, &batch_out);
        let mut wire = packets.clone();
        wire.extend(again.iter().filter(|_| !packets.is_empty()).map(|which| which.get(&packets).clone()));
        for (which, at, octet) in &harm {
            if !wire.is_empty() {
                let which = which.index(wire.len());
                let packet = &mut wire[which].1;
                match packet.get_mut(*at) {
                    Some(place) => *place ^= octet,
                    None => packet.truncate(*at / 2),
                }
            }
        }
        received(&mut single_in, &mut batch_in, &wire);
        same_counts(&single_in, &batch_in);
    }
}

#[test]
fn outcomes_stand_beside_their_frames_and_a_bad_one_does_not_hold_up_the_next() {
    let [mut ours, mut theirs] = planes();
    let [mut ours_too, mut theirs_too] = planes();
    let frames = [(3, 20), (99, 20), (5, 20), (3, 13), (7, 20), (3, 20)];
    let outcomes = sent(&mut ours, &mut ours_too, &frames);
    let errors: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().copied()).collect();
    let none = None;
    let (unknown, down, bad) =
        (EncapsulateError::UnknownSession, EncapsulateError::CircuitDown, EncapsulateError::BadFrame);
    assert_eq!(errors, [none, Some(unknown), Some(down), Some(bad), none, none]);
    let packets: Vec<_> = outcomes.into_iter().flatten().collect();
    let wire = [&packets[0], &packets[2], &packets[0], &packets[1]].map(Clone::clone);
    let frames = received(&mut theirs, &mut theirs_too, &wire);
    assert!(frames[0].is_ok() && frames[1].is_ok());
    assert_eq!(frames[2], Err(DropReason::OldSequence), "a repetition is found inside a batch");
    assert_eq!(frames[3].as_ref().unwrap()[14..16], [7 & 0xf0, 9], "the tag is rewritten");
}

#[test]
fn neither_a_batch_nor_a_single_frame_allocates() {
    let [mut ours, mut theirs] = planes();
    let mut buffers: Vec<_> = (0..150u32).map(|number| buffer(number % SESSIONS + 1, 60)).collect();
    let mut items: Vec<_> = buffers
        .iter_mut()
        .zip(0u32..)
        .map(|(buffer, number)| OutFrame::new(id(number % SESSIONS + 1), buffer, MAX_DATA_HEADER..MAX_DATA_HEADER + 60))
        .collect();
    let sealing = allocation_counter::measure(|| ours.encapsulate_batch(&mut items));
    let packets: Vec<_> = items
        .iter()
        .filter_map(|item| item.outcome.clone()?.ok().map(|done| (done.path, item.buffer[done.packet].to_vec())))
        .collect();
    assert!(packets.len() > 100);
    let mut wire = packets.clone();
    let mut items: Vec<_> = wire.iter_mut().map(|(path, packet)| InPacket::new(path.reversed(), packet)).collect();
    let opening = allocation_counter::measure(|| theirs.decapsulate_batch(&mut items));
    assert!(items.iter().all(|item| matches!(item.outcome, Some(Ok(_)))));
    let mut one = buffer(3, 60);
    let single = allocation_counter::measure(|| {
        let sent = ours.encapsulate(id(3), &mut one, MAX_DATA_HEADER..MAX_DATA_HEADER + 60).unwrap();
        let path = path(Carrier::Udp).reversed();
        theirs.decapsulate(path, &mut one[sent.packet]).unwrap();
    });
    assert_eq!([sealing, opening, single].map(|info| info.count_total), [0; 3]);
    // The measure sees allocations where there are some.
    assert!(allocation_counter::measure(|| drop(std::hint::black_box(vec![1u8; 9]))).count_total > 0);
}

/// The endpoint's batch counts drops, tells sessions that are coming up, and hears its peer, as its single form does.
#[test]
fn a_batch_through_the_endpoint_counts_and_hears_as_single_packets_do() {
    let hello = Some(core::time::Duration::from_secs(30));
    let sequenced = |circuit: CircuitConfig| CircuitConfig {
        sublayer: Sublayer::Default,
        sequencing: SequencingLevel::ALL,
        ..circuit
    };
    let ours = PeerConfig { circuits: vec![sequenced(asked("101"))], ..left(Carrier::Ip) };
    let theirs = PeerConfig { hello, circuits: vec![sequenced(circuit("101"))], ..right() };
    let mut pair = pair(ours, theirs, calm(), 9);
    pair.connect();
    pair.run(2);
    let (l, r) = (pair.left, pair.right);
    let session = pair.session(l);
    let before = pair.endpoint(l).counters().received_messages;
    for _ in 0..10 {
        let packets = pair.net.call(l, move |_, router| {
            let mut buffers: Vec<_> = (0..5).map(|tag| [vec![0; MAX_DATA_HEADER], frame(tag)].concat()).collect();
            let mut items: Vec<_> = buffers
                .iter_mut()
                .map(|buffer| {
                    let end = buffer.len();
                    OutFrame::new(session, buffer, MAX_DATA_HEADER..end)
                })
                .collect();
            router.endpoint.encapsulate_batch(&mut items);
            let done = items.iter().map(|item| item.outcome.clone().unwrap().unwrap());
            let ranges: Vec<_> = done.map(|done| done.packet).collect();
            buffers.iter().zip(ranges).map(|(buffer, range)| buffer[range].to_vec()).collect::<Vec<_>>()
        });
        let packets = packets.unwrap();
        let opened = pair.net.call(r, move |now, router| {
            let mut wire = packets.clone();
            wire.push(packets[0].clone());
            wire.push(vec![9; 40]);
            let mut items: Vec<_> =
                wire.iter_mut().map(|packet| InPacket::new(path(Carrier::Ip).reversed(), packet)).collect();
            router.endpoint.decapsulate_batch(now, &mut items);
            items.iter().map(|item| item.outcome.clone().unwrap().map(|_| ())).collect::<Vec<_>>()
        });
        let opened = opened.unwrap();
        assert_eq!(opened[..5], [Ok(()); 5]);
        assert_eq!(opened[5..], [Err(DropReason::OldSequence), Err(DropReason::UnknownSession)]);
        pair.run(25);
    }
    let drops = &pair.endpoint(r).counters().drops;
    assert_eq!([DropReason::OldSequence, DropReason::UnknownSession].map(|reason| drops.of(reason)), [10, 10]);
    assert_eq!(pair.endpoint(l).counters().received_messages, before, "the frames of the batches are life enough");
    pair.run(35);
    assert!(pair.endpoint(l).counters().received_messages > before, "silence is not");
}
