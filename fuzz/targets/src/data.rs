//! The data plane: ESP, AH, IPComp, the headers around them, policies, and a gateway with manual keys.

use drive::{Instant, Path, SecretBytes};
use esp_ah::ah::{AhError, AhKey, ah_locate, ah_seal, ah_strip, ah_verify};
use esp_ah::ipcomp::{Compressed, Deflater, Inflater};
use esp_ah::mode::{self, BeetAddresses, Inner};
use esp_ah::suite::{AesKey, CipherAlgorithm, IntegrityAlgorithm};
use esp_ah::{Iv, OpenJob, OpenKey, Packet, SealJob, SealKey, SequenceBits, Suite, open_batch, seal_batch};
use gateway::{Config, Gateway, InPacket, Inbound, Manual, ManualSa, OutPacket, Outbound};
use ikev1_core::TrafficSelector;
use ikev1_core::proposal::Mode;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use spd::{Arrival, Database, Direction, InterfaceId, PacketKey, Policy, Position, Selector, TemplateId, WhenEmpty};
use std::net::{IpAddr, Ipv6Addr};

/// Room before and after a packet.
const ROOM: usize = 128;

/// Octets in the middle of a buffer with room around them.
fn roomy(octets: &[u8]) -> Vec<u8> {
    [&[0xee; ROOM][..], octets, &[0xee; ROOM]].concat()
}

fn packet<'b>(buffer: &'b mut [u8], octets: &[u8]) -> Packet<'b> {
    Packet::new(buffer, ROOM..ROOM + octets.len()).expect("it stands in the middle")
}

fn bits(extended: bool) -> SequenceBits {
    if extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 }
}

fn keymat(suite: Suite) -> Vec<u8> {
    (0..suite.keymat_len()).map(|at| (at * 7 + 13) as u8).collect()
}

/// An ESP packet for a suite: forged, it is refused and stays as it came; what we seal, we open.
pub fn esp_packet(data: &[u8]) {
    let Some((&[which, flags, filler], data)) = data.split_first_chunk() else { return };
    let suites = Suite::all().count();
    let Some(suite) = Suite::all().nth(usize::from(which) % suites) else { return };
    let bits = bits(flags & 1 != 0);
    let opener = OpenKey::new(suite, bits, &keymat(suite)).expect("key material of the right length");
    let mut arrived = data.to_vec();
    let mut jobs = [OpenJob::new(&opener, Packet::whole(&mut arrived), 5)];
    open_batch(&mut jobs);
    if suite.icv_len() > 0 {
        assert!(jobs[0].outcome().is_err(), "a forged packet was opened");
        assert_eq!(jobs[0].packet().octets(), data);
    }
    let sealer = SealKey::new(suite, bits, &keymat(suite)).expect("key material of the right length");
    let mut buffer = roomy(data);
    let job = SealJob::new(&sealer, packet(&mut buffer, data), 0x1234, 5, 4).with_filler(filler.into());
    let mut jobs = [job];
    seal_batch(&mut jobs);
    let [job] = jobs;
    let Ok(sealed) = job.finish() else { return };
    let mut sealed = sealed.octets().to_vec();
    assert_eq!(sealed.len(), suite.sealed_len(data.len() + usize::from(filler)));
    let mut jobs = [OpenJob::new(&opener, Packet::whole(&mut sealed), 5)];
    open_batch(&mut jobs);
    let [job] = jobs;
    let opened = job.finish().expect("what we sealed");
    assert_eq!((opened.next_header, &opened.packet.octets()[..data.len()]), (4, data));
}

/// A packet of a batch.
struct InBatch<'k> {
    sequence: u64,
    payload: Vec<u8>,
    key: &'k (SealKey, OpenKey),
    /// The octet that is forged on the way, as a part of 256 of the packet.
    forged: Option<u8>,
}

/// ESP packets of two keys and many lengths, some of them forged on the way: sealed and opened together, each is what it is
/// alone.
pub fn esp_batch(data: &[u8]) {
    let Some((&[one, other, extended], data)) = data.split_first_chunk() else { return };
    let keys = [one, other].map(|which| {
        let suites = Suite::all().count();
        let suite = Suite::all().nth(usize::from(which) % suites).expect("there are as many");
        let (bits, keymat) = (bits(extended & 1 != 0), keymat(suite));
        let sealer = SealKey::new(suite, bits, &keymat).expect("key material of the right length");
        (sealer, OpenKey::new(suite, bits, &keymat).expect("key material of the right length"))
    });
    let packets = data.as_chunks().0.iter().zip(1..=80).map(|(&[low, high, flags, forged], sequence)| InBatch {
        sequence,
        payload: vec![flags; u16::from_le_bytes([low, high % 8]).into()],
        key: &keys[usize::from(flags & 1)],
        forged: (flags & 2 != 0).then_some(forged),
    });
    let packets: Vec<_> = packets.collect();
    let mut wire = sealed_together(&packets);
    assert_eq!(wire, packets.chunks(1).flat_map(sealed_together).collect::<Vec<_>>());
    for (sealed, packet) in wire.iter_mut().zip(&packets) {
        if let Some(part) = packet.forged {
            let at = usize::from(part) * sealed.len() / 256;
            sealed[at] ^= 0x10;
        }
    }
    let mut arrived = wire.clone();
    let jobs = arrived.iter_mut().zip(&packets).map(|(octets, packet)| arriving(octets, packet));
    let mut jobs: Vec<_> = jobs.collect();
    open_batch(&mut jobs);
    for ((job, octets), packet) in jobs.into_iter().zip(&mut wire).zip(&packets) {
        let mut alone = [arriving(octets, packet)];
        open_batch(&mut alone);
        let [alone] = alone;
        assert_eq!((job.outcome(), job.packet().octets()), (alone.outcome(), alone.packet().octets()));
        if packet.forged.is_none() {
            assert_eq!(job.finish().expect("what we sealed").packet.octets(), packet.payload);
        }
    }
}

fn sealed_together(packets: &[InBatch<'_>]) -> Vec<Vec<u8>> {
    let mut buffers: Vec<_> = packets.iter().map(|of| roomy(&of.payload)).collect();
    let jobs = buffers.iter_mut().zip(packets).map(|(buffer, of)| {
        let (sealer, _) = of.key;
        SealJob::new(sealer, packet(buffer, &of.payload), 0x1234, of.sequence, 4)
    });
    let mut jobs: Vec<_> = jobs.collect();
    seal_batch(&mut jobs);
    jobs.into_iter().map(|job| job.finish().expect("there is room").octets().to_vec()).collect()
}

fn arriving<'k, 'b>(octets: &'b mut [u8], of: &InBatch<'k>) -> OpenJob<'k, 'b> {
    let (_, opener) = of.key;
    OpenJob::new(opener, Packet::whole(octets), of.sequence)
}

/// The text of an ESP packet, padding and trailer included, as somebody with the keys would make it.
pub fn esp_text(data: &[u8]) {
    let cipher = CipherAlgorithm::AesCbc(AesKey::Bits128);
    let suite = Suite::dangerously_unauthenticated(cipher).expect("it encrypts");
    let text = data.get(..data.len() / 16 * 16).unwrap_or_default();
    let sealer = SealKey::new(suite, SequenceBits::Bits32, &keymat(suite)).expect("of the right length");
    let mut buffer = roomy(text);
    let mut jobs = [SealJob::new(&sealer, packet(&mut buffer, text), 0x1234, 5, 4).with_iv(Iv::Given([7; 16]))];
    seal_batch(&mut jobs);
    let [job] = jobs;
    let Ok(sealed) = job.finish() else { return };
    // Without an ICV the last block, which is our own trailer, can be cut off: the text ends as the input does.
    let mut sealed = sealed.octets().to_vec();
    sealed.truncate(sealed.len() - 16);
    let opener = OpenKey::new(suite, SequenceBits::Bits32, &keymat(suite)).expect("of the right length");
    let mut jobs = [OpenJob::new(&opener, Packet::whole(&mut sealed), 5)];
    open_batch(&mut jobs);
    let [job] = jobs;
    let padding = text.len().checked_sub(2).map(|at| usize::from(text[at]));
    let lawful = padding.is_some_and(|count| {
        let payload = text.len() - 2;
        count <= payload && text[payload - count..payload].iter().zip(1..).all(|(octet, number)| *octet == number)
    });
    assert_eq!(job.outcome().is_ok(), lawful);
    if let (Ok(opened), Some(padding)) = (job.finish(), padding) {
        assert_eq!(opened.packet.octets(), &text[..text.len() - 2 - padding]);
        assert_eq!(Some(&opened.next_header), text.last());
        let mut inside = opened.packet.octets().to_vec();
        let _ = mode::tunnel_leave(&mut Packet::whole(&mut inside), opened.next_header, Some(3));
    }
}

/// An IP packet for AH: as it arrives it is refused; what can be sealed comes out as it was.
pub fn ah_packet(data: &[u8]) {
    let Some((&[which, flags], data)) = data.split_first_chunk() else { return };
    let algorithms = &IntegrityAlgorithm::ALL[1..];
    let algorithm = algorithms[usize::from(which) % algorithms.len()];
    let key: Vec<u8> = (0..algorithm.key_len()).map(|at| at as u8).collect();
    let key = AhKey::new(algorithm, bits(flags & 1 != 0), &key).expect("a key of the right length");
    let mut arrived = data.to_vec();
    if let Ok(place) = ah_locate(&arrived) {
        let mut arrived = Packet::whole(&mut arrived);
        assert!(ah_verify(&key, &mut arrived, &place, 5).is_err(), "a forged packet");
        assert_eq!(arrived.octets(), data, "and it is as it came");
        let _ = ah_strip(&mut arrived, &place);
    }
    let mut buffer = roomy(data);
    let mut sealed = packet(&mut buffer, data);
    if ah_seal(&key, &mut sealed, 0x1234, 5).is_err() {
        assert_eq!(sealed.octets(), data);
        return;
    }
    let place = match ah_locate(sealed.octets()) {
        Ok(place) => place,
        // What was inside the packet already, behind its clear headers, is not ours to judge.
        Err(error) => panic!("our own header is not found: {error}"),
    };
    if place.spi != 0x1234 {
        return;
    }
    match ah_verify(&key, &mut sealed, &place, 5) {
        Ok(()) => {}
        // A source route is under the ICV as the receiver will see it, which this is not yet.
        Err(AhError::Icv) => return assert!(is_routed(data), "our own ICV is wrong"),
        Err(error) => panic!("our own packet is refused: {error}"),
    }
    ah_strip(&mut sealed, &place).expect("the packet it was found in");
    let mut expected = data.get(..sealed.len()).expect("no longer than it was").to_vec();
    if let Ok(mut view) = Ipv4Packet::new_checked(&mut expected[..]) {
        view.fill_checksum();
    }
    assert_eq!(sealed.octets(), expected);
}

/// Whether a packet has a route it did not follow to its end.
fn is_routed(octets: &[u8]) -> bool {
    if let Ok(view) = Ipv4Packet::new_checked(octets) {
        return view.options().flatten().any(|option| matches!(option.kind, 131 | 137));
    }
    Ipv6Packet::new_checked(octets).is_ok_and(|view| view.extension_headers().flatten().any(|header| header.kind == 43))
}

/// An IPComp datagram: it is expanded within bounds or unchanged; what shrinks comes back.
pub fn ipcomp(data: &[u8]) {
    let mut buffer = [data, &vec![0xee; 70_000]].concat();
    let mut arrived = Packet::new(&mut buffer, 0..data.len()).expect("it stands at the start");
    match Inflater::new().expand(&mut arrived, 2) {
        Ok(next_header) => assert_eq!(Some(&next_header), data.first()),
        Err(_) => assert_eq!(arrived.octets(), data),
    }
    let mut buffer = roomy(data);
    let mut small = packet(&mut buffer, data);
    if Deflater::new().compress(&mut small, 4, 2) == Compressed::No {
        return assert_eq!(small.octets(), data);
    }
    assert!(small.len() < data.len());
    let mut buffer = [small.octets(), &vec![0; data.len()]].concat();
    let mut small = Packet::new(&mut buffer, 0..small.len()).expect("it stands at the start");
    assert_eq!(Inflater::new().expand(&mut small, 2), Ok(4));
    assert_eq!(small.octets(), data);
}

/// An IP packet through the modes: what parts joins again, what enters leaves again, fragments make the whole.
pub fn modes(data: &[u8]) {
    let Some((&[gap, mtu, outer], data)) = data.split_first_chunk() else { return };
    let (gap, mtu) = (usize::from(gap) % 64, 28 + usize::from(mtu) * 8);
    let mut buffer = roomy(data);
    for next_header in [4, 41, 59, outer] {
        let _ = mode::tunnel_leave(&mut packet(&mut buffer.clone(), data), next_header, Some(outer));
    }
    if let Ok(split) = mode::transport_split(data) {
        let mut parted = packet(&mut buffer, data);
        split.part(&mut parted, gap).expect("there is room");
        assert_eq!(parted.octets(), &data[split.header_len..split.total_len]);
        parted.grow_front(gap).expect("it was there before");
        split.join(&mut parted, 50).expect("no longer than it was, and a gap");
        let joined = mode::transport_split(parted.octets()).expect("headers as they were");
        assert_eq!((joined.next_header, joined.total_len), (50, split.total_len + gap));
        parted.trim_front(joined.header_len + gap).expect("they stand there");
        joined.rejoin(&mut parted, gap, split.next_header).expect("they stand there");
        let mut expected = data[..split.total_len].to_vec();
        if let Ok(mut view) = Ipv4Packet::new_checked(&mut expected[..]) {
            view.fill_checksum();
        }
        assert_eq!(parted.octets(), expected);
    }
    let Ok(inner) = Inner::of(data) else { return };
    let ends = |source: IpAddr, destination: IpAddr| BeetAddresses { source, destination };
    let addresses = match (Ipv4Packet::new_checked(data), Ipv6Packet::new_checked(data)) {
        (Ok(view), _) => ends(view.source().into(), view.destination().into()),
        (_, Ok(view)) => ends(view.source().into(), view.destination().into()),
        _ => return,
    };
    let mut buffer = roomy(data);
    let mut entered = packet(&mut buffer, data);
    if let Ok(payload) = mode::beet_enter(&mut entered, addresses) {
        mode::beet_leave(&mut entered, payload.next_header, addresses, payload.traffic_class, payload.ttl)
            .expect("what entered leaves");
        let left = Inner::of(entered.octets()).expect("a packet again");
        assert_eq!((left.total_len, left.ttl), (inner.total_len, inner.ttl));
        let payload = |octets: &[u8]| match Ipv4Packet::new_checked(octets) {
            Ok(view) => view.payload().to_vec(),
            Err(_) => Ipv6Packet::new_checked(octets).map(|view| view.payload().to_vec()).unwrap_or_default(),
        };
        assert_eq!(payload(entered.octets()), payload(data));
    }
    let mut reply = [0; 1280];
    for from in [IpAddr::from([192, 0, 2, 1]), Ipv6Addr::LOCALHOST.into()] {
        let _ = mode::too_big_reply(&mut reply, data, from, mtu);
    }
    if let Ok(parts) = mode::fragments(data, mtu) {
        let whole = Ipv4Packet::new_checked(data).expect("it was taken apart");
        let mut together: Vec<u8> = Vec::new();
        for part in parts {
            assert!(part.header().len() + part.payload().len() <= mtu.max(whole.total_len()));
            together.extend(part.payload());
        }
        assert_eq!(together, whole.payload());
    }
}

/// A packet for the policies: the index says what asking each in turn says, alone and in a batch.
pub fn policies(data: &[u8]) {
    let wan = InterfaceId(0);
    let mut database = Database::new();
    database.add_interface(wan, WhenEmpty::Discard).expect("the first");
    let selectors: [&dyn Fn() -> Selector; 6] = [
        &|| Selector { message: spd::MessageSelector::NeighbourDiscovery, ..Selector::default() },
        &|| Selector {
            protocol: spd::ProtocolSelector::Number(6),
            remote_port: spd::PortSet::port(80),
            ..Selector::default()
        },
        &|| Selector { message: spd::MessageSelector::message(8, 0), ..Selector::default() },
        &|| Selector { local: "10.0.0.0/8".parse().expect("a prefix"), ..Selector::default() },
        &|| Selector { protocol: spd::ProtocolSelector::Opaque, ..Selector::default() },
        &|| Selector { remote: "2001:db8::/32".parse().expect("a prefix"), ..Selector::default() },
    ];
    for (number, selector) in (0u32..).zip(selectors) {
        let action = [spd::Action::Bypass, spd::Action::Protect(TemplateId(number)), spd::Action::Discard];
        let action = action[number as usize % 3];
        let policy = Policy::new(&format!("policy{number}"), selector(), action);
        database.insert(wan, Position::Last, policy.expect("a lawful policy")).expect("there is room");
    }
    let mut fragments = spd::FragmentTracker::default();
    for direction in [Direction::Outbound, Direction::Inbound] {
        let Ok((key, fragment)) = PacketKey::with_fragment(data, direction) else { continue };
        assert_eq!(key.reversed().reversed(), key);
        // What an ICMP error is about, its sender and its receiver see from two sides.
        let about = PacketKey::of_quoted(data, direction);
        let there = if direction == Direction::Outbound { Direction::Inbound } else { Direction::Outbound };
        assert_eq!(about.map(PacketKey::reversed), PacketKey::of_quoted(data, there));
        let decision = database.decide(wan, direction, &key);
        assert_eq!(database.explain(wan, direction, &key).decision, decision);
        let mut batch = [decision; 3];
        database.decide_batch(wan, direction, &[key, key.reversed(), key], &mut batch);
        assert_eq!((batch[0], batch[2]), (decision, decision));
        let now = Instant::from_secs(1);
        let _ = fragments.outbound(now, &mut database, wan, &key, fragment.as_ref());
        let _ = fragments.inbound(now, &mut database, wan, &key, fragment.as_ref(), Arrival::Clear);
    }
    // One for each way the packet was asked about.
    assert!(fragments.len() <= 4);
}

const HERE: [u8; 4] = [192, 0, 2, 1];
const THERE: [u8; 4] = [192, 0, 2, 2];

fn gateway(transport: bool, with_ah: bool, compressed: bool) -> Gateway {
    let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96);
    let suite = suite.expect("they go together");
    let layers = |number: u8| {
        let keys = |octets: usize| SecretBytes::new(vec![number; octets]);
        let comp = compressed.then_some(ManualSa::Ipcomp { cpi: 0x4000 });
        let esp = ManualSa::Esp { spi: 0x1000 + u32::from(number), suite, keymat: keys(36) };
        let integrity = IntegrityAlgorithm::HmacSha1_96;
        let ah = with_ah.then(|| ManualSa::Ah { spi: 0x2000 + u32::from(number), integrity, key: keys(20) });
        comp.into_iter().chain([esp]).chain(ah)
    };
    let mode = if transport { Mode::Transport } else { Mode::Tunnel };
    let mut manual = Manual::new("manual", mode, HERE.into(), THERE.into());
    if !transport {
        let any = TrafficSelector::subnet([0, 0, 0, 0].into(), 0).expect("all of IPv4");
        manual = manual.traffic(any, any);
    }
    let manual = layers(1).fold(manual, Manual::sends);
    let manual = layers(1).fold(manual, Manual::receives);
    let plan = Config::new(ikev1_core::Config::new()).manual(manual).build().expect("a lawful plan");
    Gateway::new(plan, Box::new(ChaCha12Rng::seed_from_u64(1)))
}

/// A gateway with manual keys whose two directions are the same: clear packets, datagrams, reports of routers.
///
/// What it seals it would open, so the input reaches what stands behind the ICV.
pub fn gateway_packet(data: &[u8]) {
    let Some((&[flags, class], data)) = data.split_first_chunk() else { return };
    let mut gateway = gateway(flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    let now = Instant::from_secs(1);
    let paths = [
        Path::ip(50, HERE.into(), THERE.into()),
        Path::ip(51, HERE.into(), THERE.into()),
        Path::new((HERE, 4500).into(), (THERE, 4500).into()),
        Path::new((HERE, 500).into(), (THERE, 500).into()),
    ];
    for path in paths {
        let mut buffer = roomy(data);
        let mut item = InPacket::new(path, packet(&mut buffer, data));
        gateway.open_batch(now, core::slice::from_mut(&mut item));
        assert!(!matches!(item.outcome, Inbound::Deliver { .. } | Inbound::Unprocessed), "forged: {:?}", item.outcome);
    }
    for v6 in [false, true] {
        let _ = gateway.handle_icmp(now, v6, data);
    }
    let _ = gateway.admit_clear(now, data);
    let mut buffer = roomy(data);
    let mut item = OutPacket::new(packet(&mut buffer, data));
    gateway.seal_batch(now, core::slice::from_mut(&mut item));
    if let Outbound::Send(path) = item.outcome {
        let sealed = item.packet.octets().to_vec();
        let mut buffer = [&[0; ROOM][..], &sealed, &vec![0; data.len() + ROOM]].concat();
        let mut item = InPacket::new(path, Packet::new(&mut buffer, ROOM..ROOM + sealed.len()).expect("it fits"));
        item.traffic_class = Some(class);
        gateway.open_batch(now, core::slice::from_mut(&mut item));
        assert_ne!(item.outcome, Inbound::Unprocessed);
        let counters = gateway.snapshot(now).counters;
        assert_eq!(counters.in_opened, u64::from(matches!(item.outcome, Inbound::Deliver { .. })));
    }
    while gateway.poll_action().is_some() {}
}
