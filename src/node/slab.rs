//! The connections of one core, by index and generation.

use super::connection::Connection;
use super::ring::Token;
use crate::ds::prefetch::prefetch_lines;

/// So much of a connection, from its beginning, has what every request looks at.
const CONNECTION_BYTES_USED: usize = 512;

/// Places for connections; a freed place gets a new generation, so late completions and replies miss.
#[derive(Default)]
pub struct Connections {
    places: Vec<Place>,
    free: Vec<u32>,
    count: usize,
}

struct Place {
    generation: u32,
    /// Boxed so that moving a connection to another core, or out of its place for a while, moves a pointer.
    connection: Option<Box<Connection>>,
}

impl Connections {
    /// Puts a connection in a free place.
    pub fn insert(&mut self, connection: Box<Connection>) -> Token {
        self.count += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                connection: None,
            });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.connection = Some(connection);
        Token {
            index,
            generation: place.generation,
        }
    }

    /// Takes a connection out for good; its token is dead from now on.
    pub fn remove(&mut self, token: Token) -> Option<Box<Connection>> {
        let place = self
            .places
            .get_mut(token.index as usize)
            .filter(|place| place.generation == token.generation)?;
        let connection = place.connection.take()?;
        place.generation = Token::next_generation(place.generation);
        self.free.push(token.index);
        self.count -= 1;
        Some(connection)
    }

    /// Takes a connection out for a moment; [`Connections::restore`] puts it back.
    #[inline]
    pub fn borrow(&mut self, token: Token) -> Option<Box<Connection>> {
        let place = self.places.get_mut(token.index as usize)?;
        if place.generation != token.generation {
            return None;
        }
        place.connection.take()
    }

    /// Starts loading what a request of it looks at.
    #[inline]
    pub fn prefetch(&self, token: Token) {
        let place = self.places.get(token.index as usize);
        if let Some(connection) = place.and_then(|place| place.connection.as_deref()) {
            prefetch_lines(connection, CONNECTION_BYTES_USED);
        }
    }

    /// Puts back what [`Connections::borrow`] took.
    #[inline]
    pub fn restore(&mut self, token: Token, connection: Box<Connection>) {
        self.places[token.index as usize].connection = Some(connection);
    }

    /// Whether the connection is out of its place for the moment.
    pub fn is_out(&self, token: Token) -> bool {
        let place = self.places.get(token.index as usize);
        // Who has gone for good has left another generation behind.
        place.is_some_and(|it| it.generation == token.generation && it.connection.is_none())
    }

    /// The connection, if it is still the same tenant.
    #[inline]
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Connection> {
        let place = self.places.get_mut(token.index as usize)?;
        if place.generation != token.generation {
            return None;
        }
        place.connection.as_deref_mut()
    }

    /// The same, to look only.
    pub fn get(&self, token: Token) -> Option<&Connection> {
        let place = self.places.get(token.index as usize)?;
        if place.generation != token.generation {
            return None;
        }
        place.connection.as_deref()
    }

    /// Whether it is the same tenant, in its place or out of it for a moment.
    pub fn is_tenant(&self, token: Token) -> bool {
        let place = self.places.get(token.index as usize);
        place.is_some_and(|place| place.generation == token.generation)
    }

    /// All tokens, for sweeps.
    pub fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.connection.is_some())
            .map(|(index, place)| Token {
                index: index as u32,
                generation: place.generation,
            })
    }

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.places
            .iter()
            .filter_map(|place| place.connection.as_deref())
    }

    /// How many places there are, used or not.
    pub fn places_count(&self) -> usize {
        self.places.len()
    }

    /// The token at a place in use.
    pub fn token_at(&self, index: usize) -> Option<Token> {
        let place = self.places.get(index)?;
        place.connection.as_ref()?;
        Some(Token {
            index: index as u32,
            generation: place.generation,
        })
    }

    /// Connections there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
