//! Distinct: whether members and fields that came from elsewhere are all different, without a copy of any.
//!
//!     | place | none | place | place | none | …      open table of places, at most half full; on the stack up to 512 elements
//!
//! Promises  an integer and a string of its digits are the same; O(N) whatever the elements are: the hash is the keyed one of
//!           members, at which no payload can aim.
//! Tests     tests/keyspace/rdb_packed.rs.

use crate::base::hash::member_hasher;
use crate::ds::listpack::{Element, Listpack};

/// Up to this many elements the table is small enough to cost nothing.
const FEW_COUNT_MAX: usize = 64;
/// Up to this many elements it needs no allocation.
const STACK_COUNT_MAX: usize = 512;

/// Whether the first elements of all groups of `width` are different: of a listpack of members 1, of pairs 2.
///
/// - Cost: O(N), one walk and a hash each; above 512 groups an allocation of eight to sixteen bytes each.
pub fn are_distinct_in(pack: &Listpack, width: usize) -> bool {
    let mut next = pack.first();
    let places = std::iter::from_fn(|| {
        let place = next?;
        next = (0..width).try_fold(place, |place, _| pack.next(place));
        Some(place)
    });
    are_distinct(pack.len().div_ceil(width), places, |place| pack.get(place))
}

/// Whether the elements at all places are different; there are `count` places.
pub fn are_distinct<'e, P: Copy>(
    count: usize,
    places: impl Iterator<Item = P>,
    element: impl Fn(P) -> Element<'e>,
) -> bool {
    if count <= FEW_COUNT_MAX {
        fill(&mut [None; 2 * FEW_COUNT_MAX], places, element)
    } else if count <= STACK_COUNT_MAX {
        fill(&mut [None; 2 * STACK_COUNT_MAX], places, element)
    } else {
        let mut table = vec![None; (2 * count).next_power_of_two()];
        fill(&mut table, places, element)
    }
}

/// Puts places into a table of a power of two until an element is there; whether none was.
fn fill<'e, P: Copy>(
    table: &mut [Option<P>],
    places: impl Iterator<Item = P>,
    element: impl Fn(P) -> Element<'e>,
) -> bool {
    debug_assert!(table.len().is_power_of_two(), "a mask finds places");
    let mask = table.len() - 1;
    let hasher = member_hasher();
    for place in places {
        let own = plain(element(place));
        let hash = match own {
            Element::Int(number) => hasher.hash(&number.to_le_bytes()),
            Element::Str(text) => hasher.hash(text),
        };
        let mut at = hash as usize & mask;
        while let Some(other) = table[at] {
            if plain(element(other)) == own {
                return false;
            }
            at = (at + 1) & mask;
        }
        table[at] = Some(place);
    }
    true
}

/// The element as an integer if it is one, so that what is the same is equal.
fn plain(element: Element<'_>) -> Element<'_> {
    element.integer().map_or(element, Element::Int)
}
