//! Geohash: a point of the earth as a number whose leading bits name the cell it lies in.
//!
//!     bits = longitude latitude longitude latitude …        `step` of each, the first ones the most significant
//!
//! Promises  the very arithmetic of Redis, in its order, so that every digit of a position is the same.
//! Not here  distances: `base/earth.rs`; which cells a search visits: `commands/geo_shape.rs`.
//! Source    Niemeyer's geohash; the range of latitudes is that of the web's maps (EPSG:3857).
//! Tests     tests/base/geohash.rs.

/// Degrees of latitude that can be encoded, either way from the equator.
pub const LATITUDE_MAX: f64 = 85.05112878;
/// Degrees of longitude, either way from Greenwich.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Bits of each coordinate in a whole number: 52 in all, which a double holds.
pub const STEP_MAX: u8 = 26;

/// The digits of the text form.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Its length; the last digit is always 0, for there are bits for ten only.
pub const TEXT_BYTES: usize = 11;

/// A position in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East is positive.
    pub longitude: f64,
    /// North is positive.
    pub latitude: f64,
}

impl Point {
    /// Whether it can be encoded.
    pub fn is_valid(&self) -> bool {
        (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&self.longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&self.latitude)
    }
}

/// Degrees from and to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower end.
    pub min: f64,
    /// The upper end.
    pub max: f64,
}

impl Range {
    fn around_zero(max: f64) -> Self {
        Self { min: -max, max }
    }

    /// How far into the range `degrees` is, in units of which there are `2^step`.
    fn index_of(&self, degrees: f64, step: u8) -> u32 {
        let offset = (degrees - self.min) / (self.max - self.min);
        (offset * (1u64 << step) as f64) as u32
    }

    /// The degrees of unit `index`.
    fn part(&self, index: u32, step: u8) -> Self {
        let units_count = (1u64 << step) as f64;
        let scale = self.max - self.min;
        let edge = |index: u32| self.min + f64::from(index) / units_count * scale;
        Self {
            min: edge(index),
            max: edge(index.wrapping_add(1)),
        }
    }

    /// The middle, within `max` of 0.
    fn middle(&self, max: f64) -> f64 {
        ((self.min + self.max) / 2.0).clamp(-max, max)
    }
}

/// What a cell covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Degrees of longitude.
    pub longitude: Range,
    /// Degrees of latitude.
    pub latitude: Range,
}

impl Area {
    /// Its middle.
    pub fn center(&self) -> Point {
        Point {
            longitude: self.longitude.middle(LONGITUDE_MAX),
            latitude: self.latitude.middle(LATITUDE_MAX),
        }
    }
}

/// A cell of the grid that has `2^step` columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Coordinates, bit by bit.
    pub bits: u64,
    /// Bits of each coordinate, 1 to 26.
    pub step: u8,
}

impl Cell {
    /// The cell of a valid point.
    pub fn of(point: Point, step: u8) -> Self {
        let latitudes = Range::around_zero(LATITUDE_MAX);
        Self::of_in(point, step, latitudes)
    }

    fn of_in(point: Point, step: u8, latitudes: Range) -> Self {
        let longitudes = Range::around_zero(LONGITUDE_MAX);
        let row = latitudes.index_of(point.latitude, step);
        let column = longitudes.index_of(point.longitude, step);
        Self {
            bits: interleave(row, column),
            step,
        }
    }

    /// What it covers.
    pub fn area(&self) -> Area {
        let (row, column) = deinterleave(self.bits);
        Area {
            longitude: Range::around_zero(LONGITUDE_MAX).part(column, self.step),
            latitude: Range::around_zero(LATITUDE_MAX).part(row, self.step),
        }
    }

    /// The cell so many columns to the east and rows to the north, -1 to 1; beyond an edge the grid begins anew.
    pub fn neighbor(&self, east: i8, north: i8) -> Self {
        let moved = |index: u32, by: i8| match by {
            0 => index,
            _ => index.wrapping_add_signed(i32::from(by)) & ((1 << self.step) - 1),
        };
        let (row, column) = deinterleave(self.bits);
        Self {
            bits: interleave(moved(row, north), moved(column, east)),
            step: self.step,
        }
    }

    /// The numbers of [`STEP_MAX`] steps that lie in the cell: from the first to before the second.
    pub fn numbers(&self) -> (u64, u64) {
        let shift = 2 * (STEP_MAX - self.step);
        (self.bits << shift, self.bits.wrapping_add(1) << shift)
    }
}

/// A valid point as a number of 52 bits.
pub fn number_of(point: Point) -> u64 {
    Cell::of(point, STEP_MAX).bits
}

/// The point that a score stands for, the middle of its smallest cell. A score that is none stands for some point.
pub fn point_of(score: f64) -> Point {
    let cell = Cell {
        bits: truncated(score),
        step: STEP_MAX,
    };
    cell.area().center()
}

/// The text that other geohash software reads: base 32, latitudes from pole to pole.
pub fn text_of(point: Point) -> [u8; TEXT_BYTES] {
    let bits = Cell::of_in(point, STEP_MAX, Range::around_zero(90.0)).bits;
    let mut text = [ALPHABET[0]; TEXT_BYTES];
    for (index, digit) in text[..TEXT_BYTES - 1].iter_mut().enumerate() {
        let shift = 52 - (index + 1) * 5;
        *digit = ALPHABET[(bits >> shift & 31) as usize];
    }
    text
}

/// A double cut to an integer as x86-64 does it: what is below zero counts back from 2^64.
fn truncated(number: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    if number < HALF {
        (number as i64) as u64
    } else if number < 2.0 * HALF {
        number as u64
    } else {
        0
    }
}

/// `row`'s bits in the even places, `column`'s in the odd ones.
fn interleave(row: u32, column: u32) -> u64 {
    spread(row) | spread(column) << 1
}

/// Row and column.
fn deinterleave(bits: u64) -> (u32, u32) {
    (gather(bits), gather(bits >> 1))
}

/// Puts a zero before each bit, by halves, quarters and so on.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in STEPS {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Undoes [`spread`]; the odd places do not matter.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & STEPS[STEPS.len() - 1].1;
    for index in (0..STEPS.len()).rev() {
        let mask = match index.checked_sub(1) {
            Some(below) => STEPS[below].1,
            None => u64::from(u32::MAX),
        };
        bits = (bits | bits >> STEPS[index].0) & mask;
    }
    bits as u32
}

const STEPS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];
