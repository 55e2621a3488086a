//! Rings against a plain model: the strings in order of insertion.

use rondo::keyspace::Array;

fn newest_first(array: &Array, count: u64) -> Vec<Vec<u8>> {
    let element = |place| array.places().get(place).expect("a full ring").to_vec();
    let ranges = array.newest_places(count).into_iter();
    let places = ranges.flat_map(|(newest, oldest)| (oldest..=newest).rev());
    places.map(element).collect()
}

#[test]
fn a_ring_keeps_the_newest_at_any_size() {
    let mut seed = 7u64;
    for round in 0..200 {
        let mut array = Array::default();
        let mut all: Vec<Vec<u8>> = Vec::new();
        for step in 0..12 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let ring = 1 + (seed >> 33) % 9;
            array.resize_ring(ring);
            // What a smaller ring forgot is forgotten in a larger one too.
            all.drain(..all.len().saturating_sub(ring as usize));
            for text in 0..(seed >> 50) % 5 {
                let text = format!("{step}:{text}").into_bytes();
                array.insert_in_ring(&text, ring);
                all.push(text);
            }
            all.drain(..all.len().saturating_sub(ring as usize));
            let mut wanted = all.clone();
            wanted.reverse();
            assert_eq!(
                newest_first(&array, 100),
                wanted,
                "round {round}, step {step}"
            );
        }
    }
}
