//! A small blocking client: sends bytes, reads exactly the replies it asks for, RESP2 and RESP3.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longer than any reply takes, shorter than a developer's patience.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// A reply as it came over the wire; nulls of RESP2 and RESP3 are one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Double(String),
    Boolean(bool),
    BigNumber(String),
    Verbatim(String, Vec<u8>),
}

pub fn ok() -> Value {
    Value::Simple("OK".to_string())
}

pub fn bulk(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bulk(bytes.as_ref().to_vec())
}

pub fn error(text: &str) -> Value {
    Value::Error(text.to_string())
}

impl Value {
    /// The text of a bulk, simple or verbatim reply.
    pub fn text(&self) -> String {
        match self {
            Value::Bulk(bytes) | Value::Verbatim(_, bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Value::Simple(text) | Value::Error(text) => text.clone(),
            other => panic!("no text: {other:?}"),
        }
    }

    pub fn integer(&self) -> i64 {
        match self {
            Value::Integer(number) => *number,
            other => panic!("no integer: {other:?}"),
        }
    }

    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("no items: {other:?}"),
        }
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection.
pub struct Client {
    socket: Socket,
    /// Bytes received; `at` of them have been read as replies.
    received: Vec<u8>,
    at: usize,
}

/// Whether the connection gave a reply.
#[derive(Debug, PartialEq)]
pub enum Next {
    Reply(Value),
    /// The server closed the connection.
    Closed,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("the server accepts a connection")
    }

    pub fn try_connect(port: u16) -> std::io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(REPLY_MAX))?;
        socket.set_write_timeout(Some(REPLY_MAX))?;
        Ok(Self::new(Socket::Tcp(socket)))
    }

    pub fn connect_unix(path: &Path) -> std::io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(REPLY_MAX))?;
        socket.set_write_timeout(Some(REPLY_MAX))?;
        Ok(Self::new(Socket::Unix(socket)))
    }

    fn new(socket: Socket) -> Self {
        Self {
            socket,
            received: Vec::new(),
            at: 0,
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes the bytes");
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.write_all(bytes),
            Socket::Unix(socket) => socket.write_all(bytes),
        }
    }

    /// A second handle on the socket, to write from another thread.
    pub fn writer(&self) -> TcpStream {
        match &self.socket {
            Socket::Tcp(socket) => socket.try_clone().expect("a second handle"),
            Socket::Unix(_) => panic!("not a TCP connection"),
        }
    }

    /// Tells the server that nothing more will be sent.
    pub fn shut_write(&self) {
        let how = std::net::Shutdown::Write;
        match &self.socket {
            Socket::Tcp(socket) => socket.shutdown(how),
            Socket::Unix(socket) => socket.shutdown(how),
        }
        .expect("a connected socket");
    }

    /// Ends the connection at once, with a reset instead of an end.
    pub fn reset(self) {
        let Socket::Tcp(socket) = &self.socket else {
            panic!("not a TCP connection");
        };
        let linger = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        linger.expect("a TCP socket");
    }

    /// Its own end of the connection.
    pub fn address(&self) -> SocketAddr {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().expect("a connected socket"),
            Socket::Unix(_) => panic!("not a TCP connection"),
        }
    }

    pub fn set_write_timeout(&self, time: Duration) {
        match &self.socket {
            Socket::Tcp(socket) => socket.set_write_timeout(Some(time)),
            Socket::Unix(socket) => socket.set_write_timeout(Some(time)),
        }
        .expect("a time above zero");
    }

    pub fn set_reply_timeout(&self, time: Duration) {
        match &self.socket {
            Socket::Tcp(socket) => socket.set_read_timeout(Some(time)),
            Socket::Unix(socket) => socket.set_read_timeout(Some(time)),
        }
        .expect("a time above zero");
    }

    /// One request of words, one reply.
    pub fn run(&mut self, words: &[&[u8]]) -> Value {
        self.send(&request(words));
        self.reply()
    }

    /// One request typed with spaces between its words, one reply.
    pub fn ask(&mut self, line: &str) -> Value {
        self.run(&words(line))
    }

    /// Sets an option to a value of more words than one.
    pub fn configure(&mut self, option: &str, value: &str) {
        let words = ["CONFIG", "SET", option, value].map(str::as_bytes);
        assert_eq!(self.run(&words), ok(), "{option} {value}");
    }

    /// The next reply; a closed connection is a failure.
    pub fn reply(&mut self) -> Value {
        match self.next() {
            Next::Reply(value) => value,
            Next::Closed => panic!("the server closed the connection"),
        }
    }

    /// Exactly `count` replies.
    pub fn replies(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.reply()).collect()
    }

    /// The next reply, or the end of the connection.
    pub fn next(&mut self) -> Next {
        loop {
            let mut reader = Reader {
                bytes: &self.received,
                at: self.at,
            };
            if let Some(value) = reader.value() {
                self.at = reader.at;
                return Next::Reply(value);
            }
            if !self.receive() {
                return Next::Closed;
            }
        }
    }

    /// The next reply, or the end; none if neither comes in the time given to `set_reply_timeout`.
    pub fn try_next(&mut self) -> Option<Next> {
        let mut byte = [0; 1];
        let peeked = match &self.socket {
            Socket::Tcp(socket) => socket.peek(&mut byte),
            Socket::Unix(_) => panic!("not a TCP connection"),
        };
        match peeked {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            _ => Some(self.next()),
        }
    }

    /// The bytes until the server closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        self.received.split_off(self.at)
    }

    /// The next `count` bytes as they came.
    pub fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() - self.at < count {
            assert!(self.receive(), "the server closed the connection");
        }
        let bytes = self.received[self.at..self.at + count].to_vec();
        self.at += count;
        bytes
    }

    /// The next reply as it came.
    pub fn raw_reply(&mut self) -> Vec<u8> {
        loop {
            let mut reader = Reader {
                bytes: &self.received,
                at: self.at,
            };
            if reader.value().is_some() {
                let count = reader.at - self.at;
                return self.raw(count);
            }
            assert!(self.receive(), "the server closed the connection");
        }
    }

    /// Receives something; false when the connection has ended.
    fn receive(&mut self) -> bool {
        self.received.drain(..self.at);
        self.at = 0;
        // A value that is expected to be long is read in long steps, not parsed again every 64 KiB.
        let step = self.received.len().clamp(64 << 10, 16 << 20);
        let length = self.received.len();
        self.received.resize(length + step, 0);
        let place = &mut self.received[length..];
        let mut read = || match &mut self.socket {
            Socket::Tcp(socket) => socket.read(place),
            Socket::Unix(socket) => socket.read(place),
        };
        let mut result = read();
        // A read with a timeout is not taken up again by the kernel where a signal, or a machine that was frozen, cut it short.
        while result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Interrupted)
        {
            result = read();
        }
        let count = match result {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("no reply: {error}"),
        };
        self.received.truncate(length + count);
        count > 0
    }
}

/// A request as an array of bulk strings.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_request(&mut bytes, words);
    bytes
}

pub fn push_request(bytes: &mut Vec<u8>, words: &[&[u8]]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split_whitespace().map(str::as_bytes).collect()
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn line(&mut self) -> Option<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn counted(&mut self, count: i64) -> Option<Vec<u8>> {
        let count = usize::try_from(count).expect("a length");
        let rest = &self.bytes[self.at..];
        if rest.len() < count + 2 {
            return None;
        }
        assert_eq!(&rest[count..count + 2], b"\r\n", "a bulk ends in CRLF");
        self.at += count + 2;
        Some(rest[..count].to_vec())
    }

    fn values(&mut self, count: i64) -> Option<Vec<Value>> {
        (0..count).map(|_| self.value()).collect()
    }

    fn value(&mut self) -> Option<Value> {
        let kind = *self.bytes.get(self.at)?;
        let line = self.line()?.split_off(1);
        let number = || -> i64 {
            line.parse()
                .unwrap_or_else(|_| panic!("no number: {line:?}"))
        };
        Some(match kind {
            b'+' => Value::Simple(line),
            b'-' => Value::Error(line),
            b':' => Value::Integer(number()),
            b'$' if line == "-1" => Value::Null,
            b'*' if line == "-1" => Value::Null,
            b'_' => Value::Null,
            b'$' => Value::Bulk(self.counted(number())?),
            b'*' => Value::Array(self.values(number())?),
            b'~' => Value::Set(self.values(number())?),
            b'>' => Value::Push(self.values(number())?),
            b'%' => {
                let flat = self.values(number() * 2)?;
                Value::Map(
                    flat.chunks(2)
                        .map(|pair| (pair[0].clone(), pair[1].clone()))
                        .collect(),
                )
            }
            b',' => Value::Double(line),
            b'#' => Value::Boolean(line == "t"),
            b'(' => Value::BigNumber(line),
            b'=' => {
                let bytes = self.counted(number())?;
                Value::Verbatim(
                    String::from_utf8_lossy(&bytes[..3]).into_owned(),
                    bytes[4..].to_vec(),
                )
            }
            other => panic!("no reply begins with {:?}: {line:?}", char::from(other)),
        })
    }
}
