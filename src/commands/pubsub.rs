//! The Pub/Sub family: what each command asks of the node, which knows who is subscribed to what.
//!
//! Not here  subscriptions: `node/pubsub.rs`; messages: `node/publish.rs`.
//! Source    names, arities and flags of Redis 8.
//! Tests     tests/server/pubsub.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::{ROW, key_at, keys_to};
use super::session::{Action, SessionCall};
use super::table::{Arity, Command, Flags, Group, KeySpec, Run, Spread};
use crate::resp::{Args, Reply};

/// What a client can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A channel.
    Channel,
    /// All channels whose names match a pattern.
    Pattern,
    /// A shard channel; its name and that of a channel have nothing to do with each other.
    ShardChannel,
}

impl Subject {
    /// All of them.
    pub const ALL: [Subject; 3] = [Subject::Channel, Subject::Pattern, Subject::ShardChannel];

    /// The word that confirms a subscription.
    pub fn subscribed_word(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Pattern => "psubscribe",
            Self::ShardChannel => "ssubscribe",
        }
    }

    /// The word that confirms its end.
    pub fn unsubscribed_word(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Pattern => "punsubscribe",
            Self::ShardChannel => "sunsubscribe",
        }
    }
}

/// What a command asks of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubSub {
    /// Subscribe to what the words name.
    Subscribe(Subject),
    /// End the subscriptions that the words name, or all of them.
    Unsubscribe(Subject),
    /// Send word 2 to whoever is subscribed to word 1; how many did.
    Publish(Subject),
    /// What has subscribers: all, or what matches the pattern.
    Names(Subject),
    /// How many subscribers each name has.
    Counts(Subject),
    /// How many patterns have subscribers.
    PatternsCount,
}

/// `PUBSUB HELP`.
fn help(
    _: &mut SessionCall<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    write_help(&CONTAINER, reply);
    Ok(Action::Done)
}

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const ASKS: Flags = Flags::PUBSUB.or(LOADING_STALE);
const SUBSCRIBES: Flags = ASKS.or(Flags::NOSCRIPT).or(Flags::WHILE_SUBSCRIBED);
const PUBLISHES: Flags = ASKS.or(Flags::FAST).or(Flags::MAY_REPLICATE);
const ONE_CHANNEL: &[KeySpec] = &[key_at(1, "", &["not_key"])];
const CHANNELS: &[KeySpec] = &[keys_to(1, -1, 1, "", &["not_key"])];
const COST_SUBSCRIBE: &str = "O(N) where N is the number of names.";
const COST_PUBLISH: &str =
    "O(N+M) where N is the number of subscribers and M the number of patterns that may match.";

/// A row of this family.
const PUBSUB: Command = Command {
    since: "2.0.0",
    group: Group::PubSub,
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SUBSCRIBE",
        arity: Arity::AtLeast(2),
        flags: SUBSCRIBES,
        args: "channel:string [channel:string ...]",
        summary: "Subscribes to channels.",
        cost: COST_SUBSCRIBE,
        run: Run::PubSub(PubSub::Subscribe(Subject::Channel)),
        ..PUBSUB
    },
    Command {
        name: "UNSUBSCRIBE",
        arity: Arity::AtLeast(1),
        flags: SUBSCRIBES,
        args: "[channel:string [channel:string ...]]",
        summary: "Ends subscriptions to channels, or all of them.",
        cost: COST_SUBSCRIBE,
        run: Run::PubSub(PubSub::Unsubscribe(Subject::Channel)),
        ..PUBSUB
    },
    Command {
        name: "PSUBSCRIBE",
        arity: Arity::AtLeast(2),
        flags: SUBSCRIBES,
        args: "pattern:pattern [pattern:pattern ...]",
        summary: "Subscribes to all channels whose names match patterns.",
        cost: COST_SUBSCRIBE,
        run: Run::PubSub(PubSub::Subscribe(Subject::Pattern)),
        ..PUBSUB
    },
    Command {
        name: "PUNSUBSCRIBE",
        arity: Arity::AtLeast(1),
        flags: SUBSCRIBES,
        args: "[pattern:pattern [pattern:pattern ...]]",
        summary: "Ends subscriptions to patterns, or all of them.",
        cost: COST_SUBSCRIBE,
        run: Run::PubSub(PubSub::Unsubscribe(Subject::Pattern)),
        ..PUBSUB
    },
    Command {
        name: "SSUBSCRIBE",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        flags: SUBSCRIBES,
        keys: CHANNELS,
        args: "shardchannel:string [shardchannel:string ...]",
        summary: "Subscribes to shard channels.",
        cost: COST_SUBSCRIBE,
        run: Run::PubSub(PubSub::Subscribe(Subject::ShardChannel)),
        ..PUBSUB
    },
    Command {
        name: "SUNSUBSCRIBE",
        since: "7.0.0",
        arity: Arity::AtLeast(1),
        flags: SUBSCRIBES,
        keys: CHANNELS,
        args: "[shardchannel:string [shardchannel:string ...]]",
        summary: "Ends subscriptions to shard channels, or all of them.",
        cost: COST_SUBSCRIBE,
        run: Run::PubSub(PubSub::Unsubscribe(Subject::ShardChannel)),
        ..PUBSUB
    },
    Command {
        name: "PUBLISH",
        arity: Arity::Exactly(3),
        flags: PUBLISHES,
        args: "channel:string message:string",
        summary: "Sends a message to the subscribers of a channel and of patterns that match it.",
        cost: COST_PUBLISH,
        run: Run::PubSub(PubSub::Publish(Subject::Channel)),
        ..PUBSUB
    },
    Command {
        name: "SPUBLISH",
        since: "7.0.0",
        arity: Arity::Exactly(3),
        flags: PUBLISHES,
        keys: ONE_CHANNEL,
        args: "shardchannel:string message:string",
        summary: "Sends a message to the subscribers of a shard channel.",
        cost: "O(N) where N is the number of subscribers.",
        run: Run::PubSub(PubSub::Publish(Subject::ShardChannel)),
        ..PUBSUB
    },
    CONTAINER,
];

const CONTAINER: Command = Command {
    name: "PUBSUB",
    since: "2.8.0",
    arity: Arity::AtLeast(2),
    summary: "Commands about what clients are subscribed to.",
    cost: "Depends on subcommand.",
    sub: SUBCOMMANDS,
    ..PUBSUB
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CHANNELS",
        since: "2.8.0",
        arity: Arity::AtLeast(2),
        flags: ASKS,
        args: "[pattern:pattern]",
        summary: "Names the channels that have subscribers, all or those that match.",
        cost: "O(N) where N is the number of channels that have subscribers.",
        run: Run::PubSub(PubSub::Names(Subject::Channel)),
        ..PUBSUB
    },
    Command {
        name: "NUMPAT",
        since: "2.8.0",
        arity: Arity::Exactly(2),
        flags: ASKS,
        summary: "Counts the patterns that have subscribers.",
        run: Run::PubSub(PubSub::PatternsCount),
        ..PUBSUB
    },
    Command {
        name: "NUMSUB",
        since: "2.8.0",
        arity: Arity::AtLeast(2),
        flags: ASKS,
        args: "[channel:string [channel:string ...]]",
        summary: "Counts the subscribers of each channel, those of patterns left out.",
        cost: "O(N) where N is the number of channels named.",
        run: Run::PubSub(PubSub::Counts(Subject::Channel)),
        ..PUBSUB
    },
    Command {
        name: "SHARDCHANNELS",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        flags: ASKS,
        args: "[pattern:pattern]",
        summary: "Names the shard channels that have subscribers, all or those that match.",
        cost: "O(N) where N is the number of shard channels that have subscribers.",
        run: Run::PubSub(PubSub::Names(Subject::ShardChannel)),
        ..PUBSUB
    },
    Command {
        name: "SHARDNUMSUB",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        flags: ASKS,
        args: "[shardchannel:string [shardchannel:string ...]]",
        summary: "Counts the subscribers of each shard channel.",
        cost: "O(N) where N is the number of shard channels named.",
        run: Run::PubSub(PubSub::Counts(Subject::ShardChannel)),
        ..PUBSUB
    },
    Command {
        name: "HELP",
        since: "6.2.0",
        arity: Arity::Exactly(2),
        flags: LOADING_STALE,
        summary: "This help.",
        run: Run::Session(help),
        ..PUBSUB
    },
];
