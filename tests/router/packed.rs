//! What is packed comes out as it went in.

use rondo::base::rng::Rng;
use rondo::commands::{CommandError, table};
use rondo::resp::args::OwnedArgs;
use rondo::router::packed::Packed;

/// Commands with words of all lengths, some before the command in the same buffer, some denied; twice, for the memory is
/// used again.
#[test]
fn commands_come_out_as_they_went_in() {
    let mut rng = Rng::with_seed(7);
    let mut packed = Packed::default();
    for _ in 0..50 {
        packed.clear();
        assert!(packed.is_empty());
        let mut expected = Vec::new();
        for index in 0..rng.below(9) as usize {
            let name: &[u8] = if rng.below(2) == 0 { b"MGET" } else { b"DEL" };
            let mut words = OwnedArgs::from_iter([&b"before"[..], name]);
            for _ in 0..1 + rng.below(4) {
                words.push(&vec![b'k'; rng.below(40) as usize]);
            }
            let args = words.as_args().tail(1);
            let entry = table().resolve(&args).expect("good");
            let home = (rng.below(3) > 0).then(|| rng.below(3) as u16);
            packed.push(entry, &args, home);
            let denied = rng.below(4) == 0;
            if denied {
                packed.deny(index, CommandError::NotInteger);
            }
            let words: Vec<Vec<u8>> = args.iter_from(0).map(<[u8]>::to_vec).collect();
            expected.push((words, home, denied));
        }
        assert_eq!(packed.len(), expected.len());
        let homes: Vec<_> = packed.homes().collect();
        assert_eq!(homes, expected.iter().map(|it| it.1).collect::<Vec<_>>());
        let check = |steps: Vec<rondo::router::packed::Step<'_>>, of: Option<u16>| {
            let expected = expected.iter();
            let expected: Vec<_> = expected.filter(|it| of.is_none() || it.1 == of).collect();
            assert_eq!(steps.len(), expected.len());
            for (step, (words, _, denied)) in steps.iter().zip(expected) {
                let got: Vec<Vec<u8>> = step.args.iter_from(0).map(<[u8]>::to_vec).collect();
                assert_eq!(got, *words);
                assert_eq!(step.denied.is_some(), *denied);
                assert_eq!(step.entry.command.name.as_bytes(), words[0]);
            }
        };
        check(packed.steps().collect(), None);
        (0..3).for_each(|shard| check(packed.steps_of(shard).collect(), Some(shard)));
        let queued = packed.to_queued();
        check(queued.iter().map(|queued| queued.step()).collect(), None);
    }
}
