//! Geohashes and distances: values recorded from a real server, and what must hold for any place.

use rondo::base::earth::distance;
use rondo::base::geohash::{Cell, Point, STEP_MAX, number_of, point_of, text_of};

fn place(longitude: f64, latitude: f64) -> Point {
    Point {
        longitude,
        latitude,
    }
}

#[test]
fn numbers_texts_and_distances_are_a_real_servers() {
    let palermo = place(13.361389, 38.115556);
    let catania = place(15.087269, 37.502669);
    assert_eq!(number_of(palermo), 3_479_099_956_230_698);
    assert_eq!(number_of(catania), 3_479_447_370_796_909);
    let (palermo, catania) = (
        point_of(3_479_099_956_230_698.0),
        point_of(3_479_447_370_796_909.0),
    );
    assert_eq!(palermo, place(13.361389338970184, 38.1155563954963));
    assert_eq!(&text_of(palermo), b"sqc8b49rny0");
    assert_eq!(&text_of(catania), b"sqdtr74hyu0");
    assert!((distance(palermo, catania) - 166_274.151_6).abs() < 1e-4);
}

// A place lies in its cell at every step, and no farther from its number's point than half a cell.
#[test]
fn a_place_is_in_its_cell() {
    for row in -17..=17 {
        for column in -36..=36 {
            let point = place(f64::from(column) * 5.0, f64::from(row) * 5.0);
            for step in 1..=STEP_MAX {
                let area = Cell::of(point, step).area();
                assert!(area.longitude.min <= point.longitude, "{point:?} {step}");
                assert!(area.longitude.max >= point.longitude, "{point:?} {step}");
                assert!(area.latitude.min <= point.latitude, "{point:?} {step}");
                assert!(area.latitude.max >= point.latitude, "{point:?} {step}");
                let (start, end) = Cell::of(point, step).numbers();
                let number = number_of(point);
                assert!((start..end).contains(&number), "{point:?} {step}");
            }
            let again = point_of(number_of(point) as f64);
            assert!(
                (again.longitude - point.longitude).abs() < 1e-5,
                "{point:?}"
            );
            assert!((again.latitude - point.latitude).abs() < 1e-5, "{point:?}");
        }
    }
}

#[test]
fn going_to_a_neighbour_and_back_ends_where_it_began() {
    for step in 1..=STEP_MAX {
        let cell = Cell::of(place(179.99, -85.0), step);
        for (east, north) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1)] {
            let there = cell.neighbor(east, north);
            assert_eq!(there.neighbor(-east, -north), cell, "{step}");
        }
        // Around the world, where that is not far.
        if step < 10 {
            let mut around = cell;
            for _ in 0..1 << step {
                around = around.neighbor(1, 0);
            }
            assert_eq!(around, cell);
        }
    }
}

#[test]
fn any_score_is_some_place() {
    for score in [
        -1.0,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.5,
        9.3e18,
        1.9e19,
    ] {
        assert!(point_of(score).is_valid(), "{score}");
    }
}
