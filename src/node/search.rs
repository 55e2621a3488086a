//! Searches for clients on all cores: CLIENT LIST and CLIENT KILL, which miss nobody who is on the way between two.
//!
//!     every core: who is there, and from now on who arrives -> what was sent before has arrived -> every core: the end
//!
//! A connection that moves is on no core while it is in a queue, and that is for long where the core that it goes to is held up. So a
//! core that was asked looks at whoever arrives, too, until it hears of the end. Once all have been asked nobody can get past them:
//! who was on a core then has been looked at, and who was not is looked at on arrival.
//!
//! Promises  a client that there was when the search began, and that goes on, is found once; one that has come since is not closed for
//!           what was said of those before it.
//! Not here  whom a filter means: `node/clients.rs`; when a core's list is made: `node/listing.rs`.
//! Tests     tests/server/searches.rs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::client_row::row;
use super::clients::{self, ClientRow};
use super::core::Core;
use super::gather::{Asker, Purpose};
use super::message::{Answer, Question};
use super::ring::Token;
use crate::commands::client_filter::ClientFilter;
use crate::resp::Reply;

/// Whom a core searches for, as the others are told.
pub struct Sought {
    /// Names the search on that core.
    number: u64,
    filter: ClientFilter,
    /// Clients that have come since have this CLIENT ID or a higher one.
    ids_end: u64,
    /// They are closed, all but this one, which its own core closes after the reply; none: they are listed.
    spare: Option<u64>,
}

/// A search of another core, or of this one, that has not ended.
pub(super) struct OpenSearch {
    from: usize,
    sought: Arc<Sought>,
    /// Who has arrived since.
    rows: Vec<ClientRow>,
    killed_count: usize,
}

/// A search of this core.
pub(super) struct Search {
    number: u64,
    aim: Aim,
    stage: Stage,
    rows: Vec<ClientRow>,
    killed_count: usize,
}

enum Aim {
    List,
    Kill {
        /// CLIENT KILL address.
        by_address: bool,
        kills_asker: bool,
    },
}

/// What is being waited for.
enum Stage {
    Asked,
    Arriving,
    Ending,
}

impl Sought {
    fn means(&self, row: &ClientRow) -> bool {
        row.id < self.ids_end
            && self.spare != Some(row.id)
            && clients::matches(&self.filter, row, self.spare.unwrap_or(0))
    }
}

impl Core {
    /// CLIENT LIST.
    pub(super) fn list(&mut self, token: Token, mut filter: ClientFilter) {
        let own = self.connections.get(token).filter(|_| filter.skip_me);
        if let Some(connection) = own {
            let not_ids = filter.not_ids.get_or_insert_default();
            not_ids.push(connection.session.id);
        }
        self.begin_search(token, filter, None, Aim::List);
    }

    /// CLIENT KILL.
    pub(super) fn kill(&mut self, token: Token, filter: ClientFilter, by_address: bool) {
        let (now_ms, place) = (self.now_ms, self.place());
        let Some(connection) = self.connections.get(token) else {
            return;
        };
        let own_id = connection.session.id;
        let row = row(connection, now_ms, place);
        let kills_asker = clients::matches(&filter, &row, own_id);
        let aim = Aim::Kill {
            by_address,
            kills_asker,
        };
        self.begin_search(token, filter, Some(own_id), aim);
    }

    fn begin_search(&mut self, token: Token, filter: ClientFilter, spare: Option<u64>, aim: Aim) {
        self.next_question += 1;
        let number = self.next_question;
        let search = Search {
            number,
            aim,
            stage: Stage::Asked,
            rows: Vec::new(),
            killed_count: 0,
        };
        let sought = Sought {
            number,
            filter,
            ids_end: self.mesh.board().next_client_id.load(Ordering::Relaxed),
            spare,
        };
        let question = Question::FindClients(Arc::new(sought));
        let purpose = Purpose::Search(Box::new(search));
        self.ask_all(Asker::Connection(token), purpose, question);
    }

    /// All cores have answered.
    pub(super) fn go_on_searching(
        &mut self,
        token: Token,
        mut search: Box<Search>,
        answers: Vec<Answer>,
    ) {
        for answer in answers {
            match answer {
                Answer::Clients(rows) => search.rows.extend(rows),
                Answer::Count(count) => search.killed_count += count,
                _ => {}
            }
        }
        let number = search.number;
        let (stage, question) = match search.stage {
            Stage::Asked if self.moves_clients() => (Stage::Arriving, Question::HasArrived),
            Stage::Arriving => (Stage::Ending, Question::EndSearch { number }),
            Stage::Asked | Stage::Ending => return self.reply_found(token, *search),
        };
        search.stage = stage;
        self.ask_all(Asker::Connection(token), Purpose::Search(search), question);
    }

    fn reply_found(&mut self, token: Token, search: Search) {
        let (by_address, kills_asker) = match search.aim {
            Aim::List => return self.reply_list(token, search.rows),
            Aim::Kill {
                by_address,
                kills_asker,
            } => (by_address, kills_asker),
        };
        let killed_count = search.killed_count + usize::from(kills_asker);
        if by_address && killed_count == 0 {
            return self.fail(token, "ERR No such client");
        }
        self.complete(token, |out, session| {
            let mut reply = Reply::new(out, session.protocol);
            match by_address {
                true => reply.ok(),
                false => reply.integer(killed_count as i64),
            }
        });
        if kills_asker && let Some(connection) = self.connections.get_mut(token) {
            connection.close_after_output = true;
        }
    }

    fn reply_list(&mut self, token: Token, mut rows: Vec<ClientRow>) {
        rows.sort_by_key(|row| row.id);
        // Who has moved from one core to another meanwhile was on both.
        rows.dedup_by_key(|row| row.id);
        let mut text = Vec::new();
        rows.iter()
            .for_each(|row| clients::render_row(row, &mut text));
        self.complete(token, |out, session| {
            Reply::new(out, session.protocol).verbatim(b"txt", &text)
        });
    }

    // ---- a core that is asked

    /// Whether connections may be on their way between two cores.
    fn moves_clients(&self) -> bool {
        self.mesh.cores_count() > 1
    }

    /// Another core searches, or this one: who is here, and from now on who arrives.
    pub(super) fn find_clients(&mut self, from: usize, id: u64, sought: Arc<Sought>) {
        if self.moves_clients() {
            self.searches.push(OpenSearch {
                from,
                sought: sought.clone(),
                rows: Vec::new(),
                killed_count: 0,
            });
        }
        if sought.spare.is_none() {
            return self.list_clients(from, id, sought.filter.clone());
        }
        let killed_count = self.kill_here(&sought);
        self.answer(from, id, Answer::Count(killed_count));
    }

    fn kill_here(&mut self, sought: &Sought) -> usize {
        let (now_ms, place) = (self.now_ms, self.place());
        let tokens: Vec<Token> = self.connections.tokens().collect();
        let is_meant = |token: &Token| {
            let connection = self.connections.get(*token);
            let connection = connection.filter(|connection| !connection.closed);
            connection.is_some_and(|connection| sought.means(&row(connection, now_ms, place)))
        };
        let killed: Vec<Token> = tokens.into_iter().filter(is_meant).collect();
        killed.iter().for_each(|token| self.close(*token));
        killed.len()
    }

    /// Looks at a connection that has just arrived; whether it is to be closed.
    #[cold]
    pub(super) fn look_at_arrival(&mut self, token: Token) -> bool {
        let (now_ms, place) = (self.now_ms, self.place());
        let Some(connection) = self.connections.get(token) else {
            return false;
        };
        let row = row(connection, now_ms, place);
        for search in &mut self.searches {
            if !search.sought.means(&row) {
                continue;
            }
            if search.sought.spare.is_some() {
                search.killed_count += 1;
                return true;
            }
            search.rows.push(row.clone());
        }
        false
    }

    /// A search is over: who has arrived since it was asked for.
    pub(super) fn end_search(&mut self, from: usize, number: u64) -> Answer {
        let is_it = |search: &OpenSearch| search.from == from && search.sought.number == number;
        let Some(index) = self.searches.iter().position(is_it) else {
            return Answer::Done;
        };
        let ended = self.searches.remove(index);
        match ended.sought.spare {
            Some(_) => Answer::Count(ended.killed_count),
            None => Answer::Clients(ended.rows),
        }
    }
}
