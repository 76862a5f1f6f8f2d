//! A batch gives what its packets give alone, in any mixture of keys, lengths and failures.

use esp_ah::{
    OpenError, OpenJob, OpenKey, Packet, SealJob, SealKey, SequenceBits, Suite, open_batch, open_batch_if, seal_batch,
};
use proptest::prelude::*;

fn suites() -> Vec<Suite> {
    Suite::all().collect()
}

fn key(suite: Suite, salt: u8) -> Vec<u8> {
    (0..suite.keymat_len()).map(|n| (n * 5 + 3) as u8 ^ salt).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_batch_equals_its_packets_alone(
        associations in proptest::collection::vec(any::<prop::sample::Index>(), 1..9),
        packets in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..300, 0usize..200), 0..100),
        extended: bool,
    ) {
        let bits = if extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 };
        let suites = suites();
        let keys: Vec<_> = associations
            .iter()
            .enumerate()
            .map(|(n, index)| {
                let suite = *index.get(&suites);
                let keymat = key(suite, n as u8);
                (SealKey::new(suite, bits, &keymat).unwrap(), OpenKey::new(suite, bits, &keymat).unwrap())
            })
            .collect();
        // Room of 60..260 octets at the end makes some packets fail.
        let mut together: Vec<Vec<u8>> =
            packets.iter().map(|&(_, len, room)| vec![len as u8; 24 + len + room]).collect();
        let mut alone = together.clone();
        let sealer = |n: usize| &packets[n].0.get(&keys).0;
        let opener = |n: usize| &packets[n].0.get(&keys).1;
        let job = |n: usize, buffer| {
            let packet = Packet::new(buffer, 24..24 + packets[n].1).unwrap();
            SealJob::new(sealer(n), packet, 256 + n as u32, n as u64 + 1, 4)
        };

        let mut jobs: Vec<_> = together.iter_mut().enumerate().map(|(n, buffer)| job(n, buffer)).collect();
        seal_batch(&mut jobs);
        for (n, (buffer, batched)) in alone.iter_mut().zip(&jobs).enumerate() {
            let mut single = [job(n, buffer)];
            seal_batch(&mut single);
            prop_assert_eq!(single[0].outcome(), batched.outcome());
            prop_assert_eq!(single[0].packet().octets(), batched.packet().octets());
        }

        let sealed: Vec<(usize, Vec<u8>)> = jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.outcome().is_ok())
            .map(|(n, job)| (n, job.packet().octets().to_vec()))
            .collect();
        let mut damaged = sealed.clone();
        for (n, packet) in &mut damaged {
            if *n % 5 == 4 {
                packet[9] ^= 1;
            }
        }
        let mut alone = damaged.clone();
        let mut jobs: Vec<_> = damaged
            .iter_mut()
            .map(|(n, packet)| OpenJob::new(opener(*n), Packet::whole(packet), *n as u64 + 1))
            .collect();
        open_batch(&mut jobs);
        for ((n, packet), batched) in alone.iter_mut().zip(&jobs) {
            let mut single = [OpenJob::new(opener(*n), Packet::whole(packet), *n as u64 + 1)];
            open_batch(&mut single);
            prop_assert_eq!(single[0].outcome(), batched.outcome());
            prop_assert_eq!(single[0].packet().octets(), batched.packet().octets());
            if *n % 5 != 4 {
                prop_assert_eq!(batched.outcome(), Ok(4));
                prop_assert_eq!(batched.packet().len(), packets[*n].1);
            }
        }
    }
}

#[test]
fn a_packet_rejected_between_the_two_steps_is_not_decrypted() {
    let suite = suites().into_iter().find(|suite| suite.to_string() == "AES-128-CBC + HMAC-SHA1-96").unwrap();
    let keymat = key(suite, 0);
    let sealer = SealKey::new(suite, SequenceBits::Bits32, &keymat).unwrap();
    let opener = OpenKey::new(suite, SequenceBits::Bits32, &keymat).unwrap();
    let mut buffer = [0; 200];
    let mut jobs = [Some(SealJob::new(&sealer, Packet::new(&mut buffer, 40..80).unwrap(), 256, 1, 4)), None];
    seal_batch(&mut jobs);
    let sealed = jobs[0].take().unwrap().finish().unwrap().octets().to_vec();
    let (mut first, mut second) = (sealed.clone(), sealed.clone());
    let mut jobs = [&mut first, &mut second].map(|packet| Some(OpenJob::new(&opener, Packet::whole(packet), 1)));
    let mut right = Vec::new();
    open_batch_if(&mut jobs, |index| {
        right.push(index);
        index == 0
    });
    assert_eq!(right, [0, 1], "both copies are right");
    let outcomes = jobs.map(|job| job.unwrap().outcome());
    assert_eq!(outcomes, [Ok(4), Err(OpenError::Rejected)]);
    assert_eq!(second, sealed);
}
